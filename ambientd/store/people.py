"""Accounts, devices and log-ins: each change in one transaction with its row in the audit.

Nothing is deleted that the audit names: what is revoked stays, marked, so that its id still says whose it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.access import Role
from ambientd.core.people import Account, Device, Login, folded
from ambientd.store import audit, tables
from ambientd.store.database import Database
from ambientd.store.facts import fact, remember
from ambientd.store.refusals import AlreadySetUp, NameTaken, NoSuchPrincipal
from ambientd.store.rows import moment, moment_text

EMERGENCY = "emergency_code"
"""Fact: the hash of the sealed code, in hexadecimal; empty once it is used."""


@dataclass(frozen=True, slots=True)
class By:
    """Who does it, and from where."""

    actor: str
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Known:
    """All there is on record."""

    accounts: list[Account]
    devices: list[Device]
    logins: list[Login]


class People:
    """Accounts, devices and log-ins of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def known(self) -> Known:
        """All of them, the oldest first."""

        async def read(connection: AsyncConnection) -> Known:
            return Known(
                [_account(row) for row in await _rows(connection, tables.accounts)],
                [_device(row) for row in await _rows(connection, tables.devices)],
                [_login(row) for row in await _rows(connection, tables.logins)],
            )

        return await self._database.query(read)

    async def add_account(self, account: Account, by: By, *, first: bool = False) -> None:
        """Add an account.  ``first``: only if there has never been one.

        Raises:
            AlreadySetUp: there has.
            NameTaken: another account is called so.
            StoreUnavailable: nothing was changed.
        """

        async def add(connection: AsyncConnection) -> None:
            if first and await connection.scalar(select(func.count()).select_from(tables.accounts)):
                raise AlreadySetUp
            await connection.execute(
                insert(tables.accounts).values(
                    id=account.id,
                    name=account.name,
                    folded=folded(account.name),
                    role=account.role,
                    password=account.password,
                    created_at=moment_text(account.created_at),
                )
            )
            await _told(connection, by, "setup" if first else "account.added", account.id, account.role)

        try:
            await self._database.transact(add)
        except IntegrityError as error:
            raise NameTaken from error

    async def set_password(self, account_id: str, password: str, by: By, *, keep: str | None = None) -> None:
        """Change an account's password, and end its log-ins but ``keep``.

        Raises:
            NoSuchPrincipal: there is no such account, or it was revoked.
            StoreUnavailable: nothing was changed.
        """

        async def change(connection: AsyncConnection) -> None:
            changed = await connection.execute(
                update(tables.accounts)
                .where(tables.accounts.c.id == account_id, tables.accounts.c.revoked_at.is_(None))
                .values(password=password)
            )
            if changed.rowcount != 1:
                raise NoSuchPrincipal
            column = tables.logins.c
            await connection.execute(
                delete(tables.logins).where(column.principal == account_id, column.id != (keep or ""))
            )
            await _told(connection, by, "account.password_set", account_id)

        await self._database.transact(change)

    async def add_device(self, device: Device, by: By) -> None:
        """Add a program with its token."""

        async def add(connection: AsyncConnection) -> None:
            await put_device(connection, device)
            await _told(connection, by, "device.added", device.id, device.role)

        await self._database.transact(add)

    async def set_pin(self, device_id: str, pin: str, by: By) -> None:
        """Set what unlocks a browser.

        Raises:
            NoSuchPrincipal: there is no such device, or it was revoked.
        """

        async def change(connection: AsyncConnection) -> None:
            changed = await connection.execute(
                update(tables.devices)
                .where(tables.devices.c.id == device_id, tables.devices.c.revoked_at.is_(None))
                .values(pin=pin)
            )
            if changed.rowcount != 1:
                raise NoSuchPrincipal
            await _told(connection, by, "device.pin_set", device_id)

        await self._database.transact(change)

    async def revoke(self, principal_id: str, at: datetime, by: By) -> None:
        """Revoke an account or a device, and end its log-ins.

        Raises:
            NoSuchPrincipal: there is none of that id, or it was revoked before.
            StoreUnavailable: nothing was changed.
        """

        async def take(connection: AsyncConnection) -> None:
            for table, action in ((tables.accounts, "account.revoked"), (tables.devices, "device.revoked")):
                gone = await connection.execute(
                    update(table)
                    .where(table.c.id == principal_id, table.c.revoked_at.is_(None))
                    .values(revoked_at=moment_text(at))
                )
                if gone.rowcount == 1:
                    await connection.execute(
                        delete(tables.logins).where(tables.logins.c.principal == principal_id)
                    )
                    await _told(connection, by, action, principal_id)
                    return
            raise NoSuchPrincipal

        await self._database.transact(take)

    async def begin(self, login: Login, by: By, *, action: str = "login") -> None:
        """Begin a log-in."""

        async def add(connection: AsyncConnection) -> None:
            await put_login(connection, login)
            await _told(connection, by, action, login.principal)

        await self._database.transact(add)

    async def end(self, login: Login, by: By, *, action: str = "logout") -> None:
        """End a log-in."""

        async def take(connection: AsyncConnection) -> None:
            await connection.execute(delete(tables.logins).where(tables.logins.c.id == login.id))
            await _told(connection, by, action, login.principal)

        await self._database.transact(take)

    async def lock(self, login: Login, at: datetime, by: By, *, locked: bool) -> None:
        """Lock or unlock a log-in."""

        async def change(connection: AsyncConnection) -> None:
            await connection.execute(
                update(tables.logins)
                .where(tables.logins.c.id == login.id)
                .values(locked=int(locked), seen_at=moment_text(at))
            )
            await _told(connection, by, "lock" if locked else "unlock", login.principal)

        await self._database.transact(change)

    async def seen(self, when: Mapping[str, datetime]) -> None:
        """Note when log-ins were last used, by their ids."""

        async def note(connection: AsyncConnection) -> None:
            for login_id, at in when.items():
                await connection.execute(
                    update(tables.logins)
                    .where(tables.logins.c.id == login_id)
                    .values(seen_at=moment_text(at))
                )

        await self._database.transact(note)

    async def forget(self, logins: Sequence[str]) -> None:
        """Delete log-ins that ended long ago, by their ids."""

        async def take(connection: AsyncConnection) -> None:
            for login_id in logins:
                await connection.execute(delete(tables.logins).where(tables.logins.c.id == login_id))

        await self._database.transact(take)

    async def seal_emergency(self, digest: bytes, by: By) -> None:
        """Keep the hash of a new emergency code; one made before is void."""

        async def keep(connection: AsyncConnection) -> None:
            await remember(connection, EMERGENCY, digest.hex())
            await _told(connection, by, "emergency.sealed")

        await self._database.transact(keep)

    async def emergency_sealed(self) -> bool:
        """Whether there is a code that was not used."""
        return bool(await self._database.query(lambda connection: fact(connection, EMERGENCY)))

    async def break_glass(self, digest: bytes, login: Login, by: By) -> bool:
        """Use the emergency code up and begin a log-in with it; whether it was the right one."""

        async def take(connection: AsyncConnection) -> bool:
            if await fact(connection, EMERGENCY) != digest.hex():
                return False
            await remember(connection, EMERGENCY, "")
            await put_login(connection, login)
            await _told(connection, by, "emergency.opened", login.principal)
            return True

        return await self._database.transact(take)


async def put_device(connection: AsyncConnection, device: Device) -> None:
    """Write a device down, within a transaction."""
    await connection.execute(
        insert(tables.devices).values(
            id=device.id,
            name=device.name,
            role=device.role,
            token=device.token,
            pin=device.pin,
            created_at=moment_text(device.created_at),
            expires_at=moment_text(device.expires_at),
            added_by=device.added_by,
        )
    )


async def put_login(connection: AsyncConnection, login: Login) -> None:
    """Write a log-in down, within a transaction."""
    await connection.execute(
        insert(tables.logins).values(
            id=login.id,
            token=login.token,
            principal=login.principal,
            created_at=moment_text(login.created_at),
            expires_at=moment_text(login.expires_at),
            seen_at=moment_text(login.seen_at),
            locked=int(login.locked),
        )
    )


async def _told(
    connection: AsyncConnection, by: By, action: str, what: str | None = None, outcome: str = "ok"
) -> None:
    await audit.record(
        connection, actor=by.actor, action=action, object=what, origin=by.origin, outcome=outcome
    )


async def _rows(connection: AsyncConnection, table: Any) -> Iterable[Mapping[str, Any]]:
    found = await connection.execute(select(table).order_by(table.c.created_at, table.c.id))
    return [dict(row) for row in found.mappings()]


def _account(row: Mapping[str, Any]) -> Account:
    return Account(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        password=row["password"],
        created_at=moment(row["created_at"]),
        revoked_at=None if row["revoked_at"] is None else moment(row["revoked_at"]),
    )


def _device(row: Mapping[str, Any]) -> Device:
    return Device(
        id=row["id"],
        name=row["name"],
        role=Role(row["role"]),
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
        added_by=row["added_by"],
        token=row["token"],
        pin=row["pin"],
        revoked_at=None if row["revoked_at"] is None else moment(row["revoked_at"]),
    )


def _login(row: Mapping[str, Any]) -> Login:
    return Login(
        id=row["id"],
        token=row["token"],
        principal=row["principal"],
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
        seen_at=moment(row["seen_at"]),
        locked=bool(row["locked"]),
    )
