"""Who somebody is, by what he shows; and log-ins from their beginning to their end.

Rule 1  What is shown is good or it is nothing: a wrong token does not fall back on a cookie.
Rule 2  A log-in that nobody has touched for a while is locked: its holder is known, and gets nothing until he has
unlocked it.  What he records goes on; what he reads is closed.  While a visit is recorded, its log-in is in use: two
people who talk need not touch a screen.
Rule 3  A right that is taken away is gone when the call returns, from the disk, the memory and the wire.
Rule 4  Every attempt has a row in the audit, also the one that failed; never what was typed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Protocol, TypeVar

from ambientd.access.keys import digest, new_id, new_token
from ambientd.access.passwords import LOG2_N, Passwords, open_passwords
from ambientd.access.presence import Presence, Presences
from ambientd.access.roster import BROKEN_GLASS, Roster
from ambientd.access.tickets import Tickets
from ambientd.core.access import Kind, Principal, includes
from ambientd.core.people import Account, Device, Login, expired, idle_for
from ambientd.core.room import Recording
from ambientd.errors import ClientError, StoreUnavailable
from ambientd.store.audit import Audit
from ambientd.store.database import Database, settled
from ambientd.store.people import By, People

logger = logging.getLogger(__name__)

T = TypeVar("T")

SWEEP: Final = 5.0
"""Seconds between two looks for log-ins to lock."""

NOTED: Final = timedelta(seconds=60)
"""How far behind the disk may be in knowing when a log-in was last used."""

MOST_NOTED: Final = 200
"""Refusals noted in a minute, of all: whoever has many addresses does not fill the disk with rows."""

FORGOTTEN: Final = timedelta(days=30)
"""How long a log-in that has ended is still on record: a clock that was wrong for a while must not end any for good."""

PIN_TRIES: Final = 5
"""Wrong PINs in a row after which only a password unlocks: there are ten thousand of four digits."""


class Attempts(Protocol):
    """How often one address may be wrong."""

    def check(self, address: str) -> None:
        """Raises :class:`ClientError` if it has been wrong too often."""
        ...

    def failed(self, address: str) -> None:
        """It was wrong once more."""
        ...


class Unlimited:
    """For a box without a door to the network."""

    def check(self, address: str) -> None:
        """Nobody is counted."""

    def failed(self, address: str) -> None:
        """As above."""


class Visit(Protocol):
    """What somebody records."""

    @property
    def id(self) -> str:
        """The session's."""
        ...

    @property
    def state(self) -> Recording:
        """Whether it takes audio."""
        ...


@dataclass(frozen=True, slots=True)
class Terms:
    """What the settings say."""

    shared_visits: bool = False
    trust_loopback: bool = True
    idle: timedelta | None = timedelta(minutes=15)
    login: timedelta = timedelta(hours=12)
    device: timedelta = timedelta(days=180)
    program: timedelta = timedelta(days=365)
    pairing: timedelta = timedelta(minutes=10)
    emergency: timedelta = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A log-in that has just begun, with what its browser must show from now on."""

    principal: Principal
    token: str
    seconds: int
    """How long it lasts."""


class Gate:
    """Who may come in.  Use :func:`open_gate`."""

    def __init__(
        self,
        *,
        people: People,
        roster: Roster,
        passwords: Passwords,
        presences: Presences,
        audit: Audit,
        terms: Terms,
        attempts: Attempts,
        now: Callable[[], datetime],
    ) -> None:
        self.people = people
        self.roster = roster
        self.passwords = passwords
        self.presences = presences
        self.audit = audit
        self.terms = terms
        self.attempts = attempts
        self.now = now
        self.tickets = Tickets()
        self._changing = asyncio.Lock()
        self._wrong_pins: dict[str, int] = {}
        """By log-in."""
        self._turned_away: dict[tuple[str, str | None], datetime] = {}
        self._seen: dict[str, datetime] = {}
        """Log-ins used since the disk was told."""
        self._recorded: dict[str, tuple[str, Visit]] = {}
        """By session: the log-in that records it."""

    def by_token(self, token: str) -> Principal | None:
        """Who shows a token: a program, or whoever broke the glass."""
        now = self.now()
        if (program := self.roster.program(token, now)) is not None:
            return program
        login = self.roster.login(token, now)
        found = None if login is None else self.roster.holder(login, locked=False)
        return found if found is not None and found.kind is Kind.EMERGENCY else None

    def by_cookies(self, *cookies: str | None) -> Principal | None:
        """Who shows cookies: the first that is good."""
        for cookie in cookies:
            login = self.roster.login(cookie, self.now())
            if login is not None and (found := self.roster.holder(login, locked=self._locked(login))):
                return found
        return None

    def by_ticket(self, shown: str, purpose: str, *cookies: str | None) -> Principal | None:
        """Who shows a ticket; one that a browser took, only together with that browser's cookie."""
        ticket = self.tickets.use(shown, purpose)
        if ticket is None:
            return None
        if ticket.login is None:
            device = self.roster.devices.get(ticket.principal)
            if device is None or device.revoked_at is not None or expired(device.expires_at, self.now()):
                return None
            return Principal(device.id, Kind.DEVICE, device.role, device.name)
        for cookie in cookies:
            found = self.by_cookies(cookie)
            if found is not None and found.login == ticket.login:
                return found
        return None

    def turned_away(self, principal: Principal, what: str | None, origin: str) -> None:
        """Note that somebody asked for what his role does not include; the same again is noted once a minute."""
        self._note(principal.id, what, origin, "refused", (principal.id, what))

    def stranger(self, reason: str, what: str | None, origin: str) -> None:
        """Note that somebody unknown was refused, or sent here by a foreign page; once a minute from each address."""
        self._note("client", what, origin, reason, (reason, origin))

    def wrong_token(self, token: str, what: str | None, origin: str) -> None:
        """Note a token that opens nothing; one the box never gave is a guess, and counts as a wrong password does."""
        if not self.roster.gave(token):
            self.attempts.failed(origin)
        self.stranger("bad_token", what, origin)

    def _note(
        self, actor: str, what: str | None, origin: str, outcome: str, key: tuple[str, str | None]
    ) -> None:
        now = self.now()
        if now - self._turned_away.get(key, now - NOTED) < NOTED:
            return
        self._turned_away = {each: at for each, at in self._turned_away.items() if now - at < NOTED}
        if len(self._turned_away) >= MOST_NOTED:
            return
        self._turned_away[key] = now
        self.audit.note(actor=actor, action="access", object=what, origin=origin, outcome=outcome)

    def touch(self, principal: Principal) -> None:
        """Somebody has just used his log-in."""
        if principal.login is not None and not principal.locked:
            self._use(principal.login)

    def records(self, principal: Principal, visit: Visit) -> None:
        """Somebody has begun to record, or goes on: his log-in is not idle while that takes audio."""
        if principal.login is not None:
            self._recorded[visit.id] = (principal.login, visit)

    def _use(self, login_id: str) -> None:
        login = self.roster.logins.get(login_id)
        if login is not None and not login.locked:
            now = self.now()
            self.roster.put_login(replace(login, seen_at=now))
            self._seen[login.id] = now

    async def log_in(self, name: str, password: str, origin: str) -> Issued:
        """Begin a log-in with name and password.

        Raises:
            ClientError: one of them is wrong, and which is not told.
        """
        account = await self.confirm(name, password, origin, action="login")
        return await self.begin(account, self.terms.login, By(account.id, origin))

    async def confirm(self, name: str, password: str, origin: str, *, action: str) -> Account:
        """The account with that name and password; raises as :meth:`log_in`."""
        self.attempts.check(origin)
        account = self.roster.named(name)
        good = await self.passwords.matches(password, account.password if account else None)
        # Looked up again: it may have been revoked, or its password changed, meanwhile.
        if account is None or not good or self.roster.accounts[account.id] != account:
            await self.failed(action, origin, account.id if account else None)
            raise ClientError("bad_login", "name or password is wrong")
        return account

    async def failed(self, action: str, origin: str, what: str | None = None) -> None:
        """Count and note an attempt that was wrong."""
        self.attempts.failed(origin)
        await self.audit.record(actor="client", action=action, object=what, origin=origin, outcome="refused")

    async def begin(
        self, who: Account | Device, lasts: timedelta, by: By, *, action: str = "login"
    ) -> Issued:
        """Begin a log-in of somebody known."""
        login, token = self.draft(who.id, lasts)
        await self.whole(self._begin(who, login, by, action))
        return self.issued(login, token)

    def draft(self, principal_id: str, lasts: timedelta) -> tuple[Login, str]:
        """A log-in that begins now, and its token; it is on no record yet."""
        token, now = new_token(), self.now()
        return Login(new_id("l"), digest(token), principal_id, now, now + lasts, now), token

    def issued(self, login: Login, token: str) -> Issued:
        """A log-in that is on record, for its browser."""
        principal = self.roster.holder(login, locked=False)
        if principal is None:
            raise ClientError("bad_login", "name or password is wrong")  # revoked in this very moment
        return Issued(principal, token, round((login.expires_at - login.created_at).total_seconds()))

    async def _begin(self, who: Account | Device, login: Login, by: By, action: str) -> None:
        if who not in (self.roster.accounts.get(who.id), self.roster.devices.get(who.id)):
            # Revoked, or given another password, while this one waited for its turn.
            raise ClientError("bad_login", "name or password is wrong")
        await self.people.begin(login, by, action=action)
        self.roster.put_login(login)

    async def log_out(self, principal: Principal, origin: str, *, but: Presence | None = None) -> None:
        """End the log-in somebody is here by, and close what it opened."""
        login = self.roster.logins.get(principal.login or "")
        if login is None:
            return

        async def take() -> None:
            await self.people.end(login, By(principal.id, origin))
            self.roster.drop_login(login.id)

        await self.whole(take())
        self.presences.dismiss(lambda each: each.principal.login == login.id, but=but)

    async def lock(self, principal: Principal, origin: str, *, but: Presence | None = None) -> None:
        """Lock a log-in: what it reads is closed, what it records goes on.

        Raises:
            ClientError: it is a program's, or by the emergency code: it could not be unlocked.
        """
        login = self.roster.logins.get(principal.login or "")
        if login is None or principal.kind is Kind.EMERGENCY:
            raise ClientError("cannot_lock", "there is nothing to unlock this with", hint="Log out instead.")
        await self._lock(login, By(principal.id, origin), locked=True)
        self._hide(login.id, but)

    async def unlock(self, principal: Principal, origin: str, **shown: str) -> None:
        """Unlock a log-in: by ``password`` that of an account, by ``pin`` that of a device.

        A device's also by ``name`` and ``password`` of an account that may do all the device may.

        Raises:
            ClientError: that does not unlock it.
        """
        login = self.roster.logins.get(principal.login or "")
        if login is None:
            raise ClientError("bad_unlock", "there is nothing to unlock")
        actor = await self.prove(principal, login, origin, action="unlock", **shown)
        await self._lock(login, By(actor, origin), locked=False)

    async def prove(
        self, principal: Principal, login: Login, origin: str, *, action: str, **shown: str
    ) -> str:
        """Who it is, by what :meth:`unlock` takes: the id of the account whose password it was, else his own.

        Raises:
            ClientError: it does not show that.
        """
        actor = principal.id
        if principal.kind is Kind.DEVICE and "pin" in shown:
            await self._try_pin(login, shown["pin"], origin, action)
        else:
            name = principal.name if principal.kind is Kind.ACCOUNT else shown.get("name", "")
            account = await self.confirm(name, shown.get("password", ""), origin, action=action)
            if not includes(account.role, principal.role):
                # Whoever may not read would read as the tablet.
                await self.audit.record(
                    actor=account.id, action=action, object=principal.id, origin=origin, outcome="refused"
                )
                raise ClientError("forbidden", "your role does not include what this device may do")
            actor = account.id
        self._wrong_pins.pop(login.id, None)
        return actor

    async def _try_pin(self, login: Login, pin: str, origin: str, action: str) -> None:
        self.attempts.check(origin)
        device = self.roster.devices.get(login.principal)
        wrong = self._wrong_pins.get(login.id, 0)
        usable = device is not None and wrong < PIN_TRIES
        # Counted before it is known: a hundred at once are a hundred.
        self._wrong_pins[login.id] = wrong + 1
        if not await self.passwords.matches(pin, device.pin if device and usable else None):
            await self.failed(action, origin, login.principal)
            raise ClientError(
                "bad_unlock",
                "this does not unlock it",
                hint="After five wrong PINs, or without one, somebody who may do as much does, by his password.",
            )

    async def whole(self, work: Coroutine[Any, Any, T]) -> T:
        """A change to disk and memory, to its end even if whoever asked for it goes; one after the other."""

        async def alone() -> T:
            async with self._changing:
                return await work

        return await settled(asyncio.create_task(alone()))

    async def _lock(self, login: Login, by: By, *, locked: bool) -> None:
        async def change() -> None:
            now = self.now()
            await self.people.lock(login, now, by, locked=locked)
            if login.id in self.roster.logins:
                self.roster.put_login(replace(self.roster.logins[login.id], locked=locked, seen_at=now))

        await self.whole(change())

    def _locked(self, login: Login) -> bool:
        idle = self.terms.idle
        if login.principal.startswith(BROKEN_GLASS):
            return False  # short, and with nothing to unlock it with
        return login.locked or (idle is not None and idle_for(login.seen_at, self.now()) >= idle)

    def _over(self, principal: Principal, now: datetime) -> bool:
        """Whether the time of a program's token has run out."""
        device = self.roster.devices.get(principal.id) if principal.login is None else None
        return device is not None and expired(device.expires_at, now)

    def _hide(self, login_id: str, but: Presence | None = None) -> None:
        self.presences.dismiss(lambda each: each.principal.login == login_id and not each.records, but=but)

    async def sweep(self) -> None:
        """Lock what has been idle, close what has ended, and note what was used: once."""
        now = self.now()
        for session_id, (login_id, visit) in [*self._recorded.items()]:
            if visit.state is Recording.ENDED:
                del self._recorded[session_id]
            elif visit.state is Recording.RECORDING:
                self._use(login_id)
        for login in [*self.roster.logins.values()]:
            if expired(login.expires_at, now):
                self._hide(login.id)
            elif not login.locked and self._locked(login):
                await self._lock(login, By("box", "idle"), locked=True)
                self._hide(login.id)
        if over := [each for each in self.roster.logins.values() if now - each.expires_at >= FORGOTTEN]:
            await self.whole(self._forget(over))
        # What it records goes on to its end, as behind a lock.
        self.presences.dismiss(lambda each: not each.records and self._over(each.principal, now))
        due = {name: at for name, at in self._seen.items() if name in self.roster.logins}
        if due and min(due.values()) <= now - NOTED:
            self._seen.clear()
            await self.people.seen(due)

    async def _forget(self, over: list[Login]) -> None:
        await self.people.forget([login.id for login in over])
        for login in over:
            self.roster.drop_login(login.id)

    async def watch(self) -> None:
        """Sweep, for ever."""
        while True:
            await asyncio.sleep(SWEEP)
            try:
                await self.sweep()
            except StoreUnavailable as error:
                # It is locked all the same, by the time since it was seen; the row comes with a later sweep.
                logger.error("log-ins could not be noted", extra={"error": error})  # noqa: TRY400


@asynccontextmanager
async def open_gate(
    database: Database,
    audit: Audit,
    terms: Terms,
    *,
    attempts: Attempts | None = None,
    log2_n: int = LOG2_N,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> AsyncIterator[Gate]:
    """The gate of a box; on leaving, all that came in through it is closed."""
    async with AsyncExitStack() as stack:
        people = People(database)
        roster = Roster(await people.known())
        passwords = stack.enter_context(open_passwords(log2_n=log2_n))
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        gate = Gate(
            people=people,
            roster=roster,
            passwords=passwords,
            presences=Presences(tasks),
            audit=audit,
            terms=terms,
            attempts=attempts or Unlimited(),
            now=now,
        )
        watcher = tasks.create_task(gate.watch(), name="log-ins")
        try:
            yield gate
        finally:
            watcher.cancel()
