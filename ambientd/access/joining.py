"""How somebody comes to be known: set-up, pairing, accounts, tokens; how he ceases to be; and the glass to be broken.

Rule 1  The first account is made by whoever can read the set-up code: on the box, or in its log.  There is a code as
long as there has never been an account.
Rule 2  A browser is let in by an operator who has seen the same number on both screens.
Rule 3  The emergency code opens everything, for a short time and once, and nobody can overlook that it did.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from ambientd.access.gate import Gate, Issued
from ambientd.access.keys import (
    EMERGENCY_LETTERS,
    SETUP_LETTERS,
    compare_code,
    digest,
    digest_of_code,
    new_code,
    new_id,
    new_password,
    new_token,
    same,
)
from ambientd.core.access import Role
from ambientd.core.people import Account, Device, Pairing, check_name, check_password, check_pin, expired
from ambientd.errors import ClientError
from ambientd.store.pairings import Pairings
from ambientd.store.people import By
from ambientd.store.refusals import AlreadySetUp, NoSuchPairing, NoSuchPrincipal

logger = logging.getLogger(__name__)

SHOWN_FOR: Final = timedelta(days=7)
"""How long the box tells that its glass was broken."""


class Joining:
    """Who is let in, and put out."""

    def __init__(self, gate: Gate, pairings: Pairings) -> None:
        self._gate = gate
        self._pairings = pairings
        self._setting_up = asyncio.Lock()
        self._setup_code = new_code(SETUP_LETTERS)
        self.opened_at: datetime | None = None
        """When the glass was last broken since the start."""

    @property
    def setup_code(self) -> str | None:
        """What the first account is made with; ``None`` once there is one."""
        return None if self._gate.roster.accounts else self._setup_code

    async def set_up(self, code: str, name: object, password: object, origin: str) -> Issued:
        """Make the first account, an operator's, and log it in.

        Raises:
            ClientError: the code is wrong, the box is set up, or the name or password cannot be.
        """
        gate = self._gate
        gate.attempts.check(origin)
        async with self._setting_up:
            if self.setup_code is None:
                raise AlreadySetUp
            if not same(digest_of_code(code), digest_of_code(self.setup_code)):
                await gate.failed("setup", origin)
                raise ClientError(
                    "bad_code",
                    "this is not the set-up code",
                    hint="It is in the box's log, and ambientctl setup shows it.",
                )
            name = check_name(name)
            account = Account(
                new_id("a"),
                name,
                Role.OPERATOR,
                await gate.passwords.make(check_password(password, name)),
                gate.now(),
            )
            await gate.whole(self._add(account, By(account.id, origin), first=True))
        logger.info("the box is set up")
        return await gate.begin(account, gate.terms.login, By(account.id, origin))

    async def _add(self, account: Account, by: By, *, first: bool = False) -> None:
        await self._gate.people.add_account(account, by, first=first)
        self._gate.roster.put(account)

    async def add_account(
        self, name: object, role: Role, password: object, by: By
    ) -> tuple[Account, str | None]:
        """Add an account; with no ``password`` one is made up, and given here and nowhere else."""
        gate, name = self._gate, check_name(name)
        made_up = new_password() if password is None else None
        kept = await gate.passwords.make(made_up or check_password(password, name))
        account = Account(new_id("a"), name, role, kept, gate.now())
        await gate.whole(self._add(account, by))
        return account, made_up

    async def set_password(
        self, account_id: str, password: object, by: By, *, keep: str | None = None
    ) -> str | None:
        """Change a password; all log-ins with the old one but ``keep`` end.  Gives it if it was made up.

        Raises:
            ClientError: there is no such account, or the password cannot be one.
        """
        gate = self._gate
        account = gate.roster.accounts.get(account_id)
        if account is None or account.revoked_at is not None:
            raise NoSuchPrincipal
        made_up = new_password() if password is None else None
        kept = await gate.passwords.make(made_up or check_password(password, account.name))

        async def change() -> None:
            await gate.people.set_password(account_id, kept, by, keep=keep)
            known = gate.roster.accounts[account_id]
            gate.roster.put(replace(known, password=kept))
            gate.roster.drop_logins(account_id, keep=keep)

        await gate.whole(change())
        gate.presences.dismiss(
            lambda each: each.principal.id == account_id and (keep is None or each.principal.login != keep)
        )
        return made_up

    async def add_program(
        self, name: object, role: Role, by: By, lasts: timedelta | None = None
    ) -> tuple[Device, str]:
        """Add a program; gives its token, which is kept nowhere."""
        gate, token = self._gate, new_token()
        now = gate.now()
        device = Device(
            new_id("d"),
            check_name(name),
            role,
            now,
            now + (lasts or gate.terms.program),
            by.actor,
            token=digest(token),
        )

        async def add() -> None:
            await gate.people.add_device(device, by)
            gate.roster.put(device)

        await gate.whole(add())
        return device, token

    async def set_pin(self, device_id: str, pin: object, by: By) -> None:
        """Set what unlocks a paired browser."""
        gate = self._gate
        kept = await gate.passwords.make(check_pin(pin))

        async def change() -> None:
            await gate.people.set_pin(device_id, kept, by)
            gate.roster.put(replace(gate.roster.devices[device_id], pin=kept))

        await gate.whole(change())

    async def revoke(self, principal_id: str, by: By, *, local: bool) -> None:
        """Put an account, a device or an emergency out: at once, with all that is open.

        ``local``: whether that is asked for on the box itself.

        Raises:
            ClientError: there is none of that id, or it is the last operator's.
        """
        gate, now = self._gate, self._gate.now()
        if [account.id for account in gate.roster.operators()] == [principal_id] and not local:
            raise ClientError(
                "last_operator",
                "this is the last operator's account",
                hint="Add another operator first.  On the box: ambientctl accounts revoke.",
            )
        if principal_id.startswith("e-"):
            await self._end_emergency(principal_id, by)
            return

        async def take() -> None:
            await gate.people.revoke(principal_id, now, by)
            gate.roster.revoke(principal_id, now)

        await gate.whole(take())
        gate.presences.dismiss(lambda each: each.principal.id == principal_id)

    async def _end_emergency(self, principal_id: str, by: By) -> None:
        gate = self._gate
        found = [each for each in gate.roster.logins.values() if each.principal == principal_id]
        if not found:
            raise NoSuchPrincipal

        async def take() -> None:
            for login in found:
                await gate.people.end(login, by, action="emergency.ended")
                gate.roster.drop_login(login.id)

        await gate.whole(take())
        gate.presences.dismiss(lambda each: each.principal.id == principal_id)

    async def ask(self, name: object, origin: str) -> tuple[Pairing, str]:
        """A browser asks to be let in; gives the secret it alone will know."""
        gate = self._gate
        gate.attempts.check(origin)
        secret, now = new_token(), gate.now()
        pairing = Pairing(
            new_id("p"),
            digest(secret),
            compare_code(),
            check_name(name),
            origin,
            now,
            now + gate.terms.pairing,
            "waiting",
        )
        await self._pairings.ask(pairing)
        return pairing, secret

    async def asked(self, pairing_id: str, secret: str, origin: str) -> tuple[str, Issued | None]:
        """How a pairing stands, for the browser that asked: its status, and the log-in once it is approved.

        Raises:
            NoSuchPairing: there is none of that id with that secret.
        """
        gate = self._gate
        pairing = await self._pairings.find(pairing_id)
        if pairing is None or not same(pairing.secret, digest(secret)):
            raise NoSuchPairing
        if pairing.status == "refused":
            return "refused", None
        if expired(pairing.expires_at, gate.now()):
            return "expired", None
        device = gate.roster.devices.get(pairing.device_id or "")
        if pairing.status == "waiting" or device is None:
            return pairing.status, None
        login, token = gate.draft(device.id, device.expires_at - gate.now())

        async def collect() -> bool:
            if not await self._pairings.collect(pairing_id, login, By(device.id, origin)):
                return False
            gate.roster.drop_logins(device.id)
            gate.roster.put_login(login)
            return True

        if not await gate.whole(collect()):
            return "refused", None
        return "approved", gate.issued(login, token)

    async def waiting(self) -> list[Pairing]:
        """The browsers that ask."""
        return await self._pairings.waiting(self._gate.now())

    async def approve(self, pairing_id: str, role: Role, by: By, *, code: str | None = None) -> Device:
        """Let a browser in.  ``code``: the number on its screen, if it was typed in.

        Raises:
            ClientError: there is none of that id, it was decided before, or the number is another.
        """
        gate = self._gate
        pairing = await self._pairings.find(pairing_id)
        if pairing is None:
            raise NoSuchPairing
        if code is not None and "".join(code.split()) != pairing.code:
            raise ClientError("bad_code", "this is not the number on that device")
        now = gate.now()
        device = Device(new_id("d"), pairing.name, role, now, now + gate.terms.device, by.actor)

        async def let_in() -> None:
            await self._pairings.approve(pairing_id, device, now, by)
            gate.roster.put(device)

        await gate.whole(let_in())
        return device

    async def refuse(self, pairing_id: str, by: By) -> None:
        """Turn a browser away."""
        await self._pairings.refuse(pairing_id, self._gate.now(), by)

    async def seal_emergency(self, by: By) -> str:
        """Make an emergency code, to be put into an envelope; one made before is void."""
        code = new_code(EMERGENCY_LETTERS)
        await self._gate.people.seal_emergency(digest_of_code(code), by)
        return code

    async def break_glass(self, code: str, origin: str) -> Issued:
        """Everything, for a short time, with the emergency code, which is used up.

        Raises:
            ClientError: it is not the code, or there is none.
        """
        gate = self._gate
        gate.attempts.check(origin)
        login, token = gate.draft(new_id("e"), gate.terms.emergency)

        async def take() -> bool:
            if not await gate.people.break_glass(digest_of_code(code), login, By(login.principal, origin)):
                return False
            gate.roster.put_login(login)
            return True

        if not await gate.whole(take()):
            await gate.failed("emergency.opened", origin)
            raise ClientError("bad_code", "this is not the emergency code of this box")
        self.opened_at = gate.now()
        logger.critical(
            "the emergency code was used: somebody has all rights for a while", extra={"remote": origin}
        )
        return gate.issued(login, token)

    def emergencies(self) -> list[tuple[str, datetime]]:
        """Who has all rights just now by the emergency code, and until when."""
        now = self._gate.now()
        return [
            (login.principal, login.expires_at)
            for login in self._gate.roster.logins.values()
            if login.principal.startswith("e-") and not expired(login.expires_at, now)
        ]
