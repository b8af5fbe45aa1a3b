"""Tickets for WebSockets: a page cannot put a header on one, so it takes a ticket first and shows that.

Rule 1  A ticket opens one socket, of the kind it was taken for, within seconds, and once.
Rule 2  One taken by a browser opens only together with that browser's cookie: alone it is of no use to a thief.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ambientd.access.keys import digest, new_token

LIFE: Final = 30.0
"""Seconds."""

EACH: Final = 8
"""Tickets one principal may hold; the oldest gives way."""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A ticket that was taken and not yet used."""

    principal: str
    login: str | None
    """The log-in it was taken with, if any."""
    purpose: str
    until: float


class Tickets:
    """Those that are out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._out: dict[bytes, Ticket] = {}

    def take(self, principal: str, login: str | None, purpose: str) -> str:
        """A ticket for one socket."""
        self._sweep()
        own = [key for key, ticket in self._out.items() if ticket.principal == principal]
        for key in own[: max(0, len(own) + 1 - EACH)]:
            del self._out[key]
        shown = new_token()
        self._out[digest(shown)] = Ticket(principal, login, purpose, self._clock() + LIFE)
        return shown

    def use(self, shown: str, purpose: str) -> Ticket | None:
        """The ticket, used up, if it is good for that purpose; one shown for another is used up too."""
        self._sweep()
        ticket = self._out.pop(digest(shown), None)
        return ticket if ticket is not None and ticket.purpose == purpose else None

    def _sweep(self) -> None:
        now = self._clock()
        for key in [key for key, ticket in self._out.items() if ticket.until <= now]:
            del self._out[key]
