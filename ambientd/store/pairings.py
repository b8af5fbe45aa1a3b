"""Browsers that ask to be let in, until somebody has decided and they have been told.

What is decided is on the disk before anybody hears of it, so that a power cut in between leaves a browser that asks
again, and neither one that is let in unasked nor two for one.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.core.people import Device, Login, Pairing
from ambientd.errors import ClientError
from ambientd.store import audit, tables
from ambientd.store.database import Database
from ambientd.store.people import By, put_device, put_login
from ambientd.store.refusals import NoSuchPairing, NotWaiting
from ambientd.store.rows import moment, moment_text

MOST = 20
"""Pairings that may wait at once."""

MOST_OF_ONE = 3
"""Of them, those that one address asks for: nobody can take all places."""


class Pairings:
    """The pairings of a database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def ask(self, pairing: Pairing) -> None:
        """Write down that a browser asks; those that are over are forgotten.

        Raises:
            ClientError: too many wait already.
            StoreUnavailable: nothing was changed.
        """

        async def add(connection: AsyncConnection) -> None:
            column = tables.pairings.c
            await connection.execute(
                delete(tables.pairings).where(column.expires_at <= moment_text(pairing.created_at))
            )
            waiting = select(func.count()).select_from(tables.pairings).where(column.status == "waiting")
            all_of_them = (await connection.execute(waiting)).scalar_one()
            of_one = (await connection.execute(waiting.where(column.origin == pairing.origin))).scalar_one()
            if all_of_them >= MOST or of_one >= MOST_OF_ONE:
                raise ClientError(
                    "too_many_requests",
                    "too many devices ask to be paired",
                    hint="Have an operator refuse those that nobody knows, or try again in ten minutes.",
                    retry_after=(pairing.expires_at - pairing.created_at).total_seconds(),
                )
            await connection.execute(
                insert(tables.pairings).values(
                    id=pairing.id,
                    secret=pairing.secret,
                    code=pairing.code,
                    name=pairing.name,
                    origin=pairing.origin,
                    created_at=moment_text(pairing.created_at),
                    expires_at=moment_text(pairing.expires_at),
                    status=pairing.status,
                )
            )
            await audit.record(
                connection,
                actor="client",
                action="pairing.asked",
                object=pairing.id,
                origin=pairing.origin,
            )

        await self._database.transact(add)

    async def find(self, pairing_id: str) -> Pairing | None:
        """The pairing of that id, also one that is over but not forgotten."""

        async def read(connection: AsyncConnection) -> Pairing | None:
            found = await connection.execute(
                select(tables.pairings).where(tables.pairings.c.id == pairing_id)
            )
            row = found.mappings().one_or_none()
            return None if row is None else _pairing(dict(row))

        return await self._database.query(read)

    async def waiting(self, now: datetime) -> list[Pairing]:
        """Those that nobody has decided over, the oldest first."""
        column = tables.pairings.c
        wanted = (
            select(tables.pairings)
            .where(column.status == "waiting", column.expires_at > moment_text(now))
            .order_by(column.created_at)
        )

        async def read(connection: AsyncConnection) -> list[Pairing]:
            return [_pairing(dict(row)) for row in (await connection.execute(wanted)).mappings()]

        return await self._database.query(read)

    async def approve(self, pairing_id: str, device: Device, now: datetime, by: By) -> None:
        """Let a browser in as ``device``.

        Raises:
            NoSuchPairing: nobody asks under that id.
            NotWaiting: it was decided before, or its time is over.
            StoreUnavailable: nothing was changed.
        """

        async def decide(connection: AsyncConnection) -> None:
            await put_device(connection, device)
            await _decide(connection, pairing_id, now, status="approved", device_id=device.id)
            for action, what in (("pairing.approved", pairing_id), ("device.added", device.id)):
                await audit.record(
                    connection,
                    actor=by.actor,
                    action=action,
                    object=what,
                    origin=by.origin,
                    outcome=device.role,
                )

        await self._database.transact(decide)

    async def refuse(self, pairing_id: str, now: datetime, by: By) -> None:
        """Turn a browser away; raises as :meth:`approve`."""

        async def decide(connection: AsyncConnection) -> None:
            await _decide(connection, pairing_id, now, status="refused")
            await audit.record(
                connection, actor=by.actor, action="pairing.refused", object=pairing_id, origin=by.origin
            )

        await self._database.transact(decide)

    async def collect(self, pairing_id: str, login: Login, by: By) -> bool:
        """Begin the log-in of a browser that was let in; whether it may still have it.

        A browser that missed the answer asks again and gets another; the one before it is void.
        """

        async def begin(connection: AsyncConnection) -> bool:
            row = tables.pairings.c
            approved = await connection.scalar(
                select(tables.devices.c.id)
                .join_from(tables.pairings, tables.devices, row.device_id == tables.devices.c.id)
                .where(row.id == pairing_id, row.status == "approved", tables.devices.c.revoked_at.is_(None))
            )
            if approved != login.principal:
                return False
            await connection.execute(delete(tables.logins).where(tables.logins.c.principal == approved))
            await put_login(connection, login)
            await audit.record(
                connection, actor=login.principal, action="login", object=login.principal, origin=by.origin
            )
            return True

        return await self._database.transact(begin)


async def _decide(connection: AsyncConnection, pairing_id: str, now: datetime, **values: Any) -> None:
    column = tables.pairings.c
    decided = await connection.execute(
        update(tables.pairings)
        .where(column.id == pairing_id, column.status == "waiting", column.expires_at > moment_text(now))
        .values(**values)
    )
    if decided.rowcount != 1:
        known = await connection.scalar(select(column.id).where(column.id == pairing_id))
        raise NoSuchPairing if known is None else NotWaiting


def _pairing(row: Mapping[str, Any]) -> Pairing:
    return Pairing(
        id=row["id"],
        secret=row["secret"],
        code=row["code"],
        name=row["name"],
        origin=row["origin"],
        created_at=moment(row["created_at"]),
        expires_at=moment(row["expires_at"]),
        status=row["status"],
        device_id=row["device_id"],
    )
