"""How often one address may do what: rates, and bans for who goes on regardless.

    Rule 1  What is refused costs the box next to nothing, so that the refused cannot do harm by trying on.
    Rule 2  Nobody is shut out for ever, nor by surprise: a ban ends by itself, is told, can be seen and be lifted.
    Rule 3  A clock that jumps must not make a minute last a year: the counts begin anew then.

An IPv6 address stands for its /64: a single machine has as many addresses in there as it likes.
"""

from __future__ import annotations

import ipaddress
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

from limits import RateLimitItem, RateLimitItemPerHour, RateLimitItemPerMinute, RateLimitItemPerSecond
from limits.storage.memory import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

from ambientd.core.network import Ban, Rate
from ambientd.core.protocol import CLOSE_POLICY
from ambientd.errors import ClientError

JUMP: Final = 2.0
"""Seconds by which the clock of the day may run off that of the kernel before it has jumped."""

MOST_BANS: Final = 10_000
"""Bans kept; beyond it the oldest is forgotten, and has to be earned again."""


def rates(*, streams: int, requests: int) -> Mapping[Rate, tuple[RateLimitItem, ...]]:
    """How much of each is allowed to one address."""
    return {
        # A page opens six connections, and a program without keep-alive one for each request it may make.
        Rate.CONNECT: (RateLimitItemPerMinute(max(240, requests)),),
        # Ten a minute is what the seed protocol promises its clients.
        Rate.STREAM: (RateLimitItemPerMinute(streams),),
        # A tablet at the edge of the wireless network comes back again and again, in the middle of a visit.
        Rate.RETURN: (RateLimitItemPerMinute(3 * streams),),
        Rate.REQUEST: (RateLimitItemPerMinute(requests),),
        # Failed ones.
        Rate.LOGIN: (RateLimitItemPerSecond(1), RateLimitItemPerMinute(5), RateLimitItemPerHour(20)),
        # Who does not heed a 429 is cheaper to refuse at the door.
        Rate.REFUSAL: (RateLimitItemPerMinute(max(60, requests // 2)),),
    }


class Limits:
    """The counts and bans of one door."""

    def __init__(
        self,
        allowed: Mapping[Rate, tuple[RateLimitItem, ...]],
        *,
        ban: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """``ban``: seconds an address is shut out."""
        self._allowed = allowed
        self._ban = ban
        self._clock = clock
        self._storage = MemoryStorage()
        self._windows = MovingWindowRateLimiter(self._storage)
        self._offset = time.time() - time.monotonic()
        self._bans: dict[str, Ban] = {}
        self._refused: Counter[str] = Counter()
        self.observe: Callable[[str, str, str], None] = lambda _what, _address, _reason: None
        """Told of each ban and its lifting: ``ban``/``free``, the address, the reason."""

    @property
    def refused(self) -> Mapping[str, int]:
        """How often something was refused, by the rate or the reason."""
        return self._refused

    def count(self, rate: Rate, who: str) -> None:
        """One more of these by ``who``: an address, or the id of a token.

        Raises:
            ClientError: ``too_many_requests``: that was one too many, and is not counted.
        """
        self.check(rate, who)
        key = network(who)
        for item in self._allowed[rate]:
            self._windows.hit(item, rate, key)

    def check(self, rate: Rate, who: str) -> None:
        """Whether ``who`` has one of these left, without taking it; raises as :meth:`count`."""
        self._mind_the_clock()
        key = network(who)
        for item in self._allowed[rate]:
            if not self._windows.test(item, rate, key):
                self.note_refusal(rate)
                self._resent(key)
                raise self._too_many(rate, item, key)

    def note_refusal(self, reason: str) -> None:
        """One more of what is refused, for the figures."""
        self._refused[reason] += 1

    def failed_login(self, address: str) -> None:
        """A log-in, a set-up code or a token that was wrong: counted; who has used up the hour's is banned.

        Call :meth:`check` with ``Rate.LOGIN`` before looking at the password, so that guessing learns nothing.
        """
        self._mind_the_clock()
        key = network(address)
        for item in self._allowed[Rate.LOGIN]:
            self._windows.hit(item, Rate.LOGIN, key)
        if not self._windows.test(self._allowed[Rate.LOGIN][-1], Rate.LOGIN, key):
            self.ban(address, Rate.LOGIN)

    def ban(self, address: str, reason: str) -> None:
        """Shut an address out for a while."""
        key = network(address)
        known = self.banned(address)
        now = self._clock()
        self._bans.pop(key, None)
        self._bans[key] = Ban(key, reason, known.since if known else now, now + self._ban)
        while len(self._bans) > MOST_BANS:
            self._bans.pop(next(iter(self._bans)))
        if known is None:
            self.observe("ban", key, reason)

    def banned(self, address: str) -> Ban | None:
        """The ban on an address, if there is one."""
        key = network(address)
        found = self._bans.get(key)
        if found is not None and found.until <= self._clock():
            del self._bans[key]
            return None
        return found

    @property
    def bans(self) -> list[Ban]:
        """All that are in force, the oldest first."""
        return [ban for key in list(self._bans) if (ban := self.banned(key)) is not None]

    def free(self, address: str) -> bool:
        """Let an address in again, its counts forgotten; whether it was shut out."""
        key = network(address)
        for rate, items in self._allowed.items():
            for item in items:
                self._windows.clear(item, rate, key)
        ban = self._bans.pop(key, None)
        if ban is not None:
            self.observe("free", key, ban.reason)
        return ban is not None

    def seconds_left(self, ban: Ban) -> float:
        """Seconds until a ban ends."""
        return max(0.0, ban.until - self._clock())

    def _resent(self, key: str) -> None:
        (item,) = self._allowed[Rate.REFUSAL]
        if not self._windows.hit(item, Rate.REFUSAL, key):
            self.ban(key, Rate.REFUSAL)

    def _too_many(self, rate: Rate, item: RateLimitItem, key: str) -> ClientError:
        reset = self._windows.get_window_stats(item, rate, key).reset_time
        wait = max(1.0, reset - time.time())
        return ClientError(
            "too_many_requests",
            f"too many {rate}: {item.amount} in {item.get_expiry()} s are allowed",
            hint=f"Try again in {round(wait)} s.",
            close_code=CLOSE_POLICY,
            retry_after=wait,
        )

    def _mind_the_clock(self) -> None:
        # The library counts by the clock of the day, which on a box without a battery jumps by years.
        offset = time.time() - time.monotonic()
        if abs(offset - self._offset) > JUMP:
            self._storage.reset()
            self._offset = offset


def network(address: str) -> str:
    """Who an address stands for: itself, the IPv4 address mapped into it, or the /64 around it."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address  # a token's id, or a name of ours
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network(f"{found}/64", strict=False))
    return str(found)
