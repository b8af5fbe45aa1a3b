"""Who is known, in memory: every request asks, and the disk need not.

The daemon has its database alone, so what is changed there is changed here in the same breath; nothing else writes it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from ambientd.access.keys import digest
from ambientd.core.access import Kind, Principal, Role
from ambientd.core.people import Account, Device, Login, expired, folded
from ambientd.store.people import Known

BROKEN_GLASS: Final = "e-"
"""How the ids of those begin who used the emergency code."""


class Roster:
    """Accounts, devices and log-ins."""

    def __init__(self, known: Known) -> None:
        self.accounts = {account.id: account for account in known.accounts}
        self.devices = {device.id: device for device in known.devices}
        self.logins = {login.id: login for login in known.logins}
        self._cookies = {login.token: login.id for login in known.logins}
        self._tokens = {device.token: device.id for device in known.devices if device.token}

    def put(self, one: Account | Device) -> None:
        """Add or replace an account or a device."""
        if isinstance(one, Account):
            self.accounts[one.id] = one
            return
        self.devices[one.id] = one
        if one.token:
            self._tokens[one.token] = one.id

    def put_login(self, login: Login) -> None:
        """Add or replace a log-in."""
        self.logins[login.id] = login
        self._cookies[login.token] = login.id

    def drop_login(self, login_id: str) -> None:
        """Forget a log-in."""
        login = self.logins.pop(login_id, None)
        if login is not None:
            self._cookies.pop(login.token, None)

    def drop_logins(self, principal_id: str, *, keep: str | None = None) -> None:
        """Forget all log-ins of somebody but one."""
        for login in [*self.logins.values()]:
            if login.principal == principal_id and login.id != keep:
                self.drop_login(login.id)

    def revoke(self, principal_id: str, at: datetime) -> None:
        """Mark an account or a device, and forget its log-ins."""
        for one in (self.accounts.get(principal_id), self.devices.get(principal_id)):
            if one is not None:
                self.put(replace(one, revoked_at=at))
        self.drop_logins(principal_id)

    def named(self, name: str) -> Account | None:
        """The account in force that is called so."""
        wanted = folded(name)
        for account in self.accounts.values():
            if account.revoked_at is None and folded(account.name) == wanted:
                return account
        return None

    def operators(self) -> Iterator[Account]:
        """The operators' accounts in force."""
        return (
            account
            for account in self.accounts.values()
            if account.role is Role.OPERATOR and account.revoked_at is None
        )

    def login(self, cookie: str | None, now: datetime) -> Login | None:
        """The log-in whose cookie this is, if it has not ended."""
        login = self.logins.get(self._cookies.get(digest(cookie), "")) if cookie else None
        return None if login is None or expired(login.expires_at, now) else login

    def gave(self, token: str) -> bool:
        """Whether that is a token of the box's own, also one that has ended or was taken back."""
        return digest(token) in self._tokens or digest(token) in self._cookies

    def program(self, token: str, now: datetime) -> Principal | None:
        """The program whose token this is."""
        device = self.devices.get(self._tokens.get(digest(token), ""))
        if device is None or device.revoked_at is not None or expired(device.expires_at, now):
            return None
        return Principal(device.id, Kind.DEVICE, device.role, device.name)

    def holder(self, login: Login, *, locked: bool) -> Principal | None:
        """Who is here by a log-in; ``None`` for somebody revoked, or whom nobody knows."""
        one = self.accounts.get(login.principal) or self.devices.get(login.principal)
        if one is None:
            if not login.principal.startswith(BROKEN_GLASS):
                return None  # a log-in of nobody: all rights would be the worst guess
            return Principal(login.principal, Kind.EMERGENCY, Role.EMERGENCY, "emergency", login.id)
        if one.revoked_at is not None:
            return None
        return Principal(one.id, one.kind, one.role, one.name, login.id, locked)
