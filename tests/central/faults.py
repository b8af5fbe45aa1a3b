"""What can go wrong between a box and the centre, to be ordered one by one or drawn from a seed."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from aiohttp import web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


ORPHANED = web.RequestKey("orphaned", bool)


class Fault(StrEnum):
    REFUSE = "refuse"
    """Nobody listens, for a while; open connections are torn."""
    EXPIRED_CERTIFICATE = "expired_certificate"
    WRONG_NAME = "wrong_name"
    UNKNOWN_CA = "unknown_ca"
    """For a while the centre shows a certificate that must not be trusted.  Without TLS: as ``REFUSE``."""
    ERROR = "error"
    """500 before anything is done."""
    ERROR_AFTER = "error_after"
    """500 although everything was done."""
    ORPHAN = "orphan"
    """500 after the upload was recorded and before its task was: a row that never gets its text."""
    BUSY = "busy"
    """429 with Retry-After."""
    UNAUTHORISED = "unauthorised"
    """401, although the token is good."""
    EXPIRED_TOKEN = "expired_token"  # noqa: S105 - a name
    """Every token given out so far is invalid from now on; the request itself goes on, anonymous."""
    HANG = "hang"
    """No answer, and nothing done."""
    HANG_AFTER = "hang_after"
    """Everything done, and no answer."""
    LATE = "late"
    """The connection is torn at once, and everything done a moment after: somebody in between had kept the request."""
    CUT_BEFORE = "cut_before"
    CUT_AFTER = "cut_after"
    """The connection is torn before, or after, the request was worked off."""
    SLOW_BODY = "slow_body"
    """Everything done; the answer trickles."""
    WRONG_JSON = "wrong_json"
    """Everything done; half of the answer is missing."""
    NOT_JSON = "not_json"
    """A page of somebody in between, such as a captive portal, with status 200; nothing done."""


CERTIFICATES = frozenset({Fault.EXPIRED_CERTIFICATE, Fault.WRONG_NAME, Fault.UNKNOWN_CA})
CONNECTION = CERTIFICATES | {Fault.REFUSE}


@dataclass(frozen=True, slots=True)
class Order:
    fault: Fault
    path: str = ""
    """Beginning of the paths it is meant for."""
    method: str = ""
    """Empty for every method."""

    def meets(self, request: web.Request) -> bool:
        return request.path.startswith(self.path) and self.method in {"", request.method}


@dataclass
class Faults:
    """The next fault for each request.  Seconds are those of the test, not of a clinic."""

    retry_after: int = 1
    away: float = 0.2
    """For how long nobody listens, or a bad certificate is shown."""
    hang: float = 2.0
    """The longest a request hangs before it is torn."""
    late: float = 0.1
    """How long after its connection a late request is worked off."""
    slow: float = 0.3
    """How long a slow answer takes."""
    seen: Counter[Fault] = field(default_factory=Counter)
    poison: str = ""
    """A text with this in it is refused with a 500, always."""
    away_now: Callable[[Fault, float], Awaitable[None]] | None = None
    """Set by the server: what happens below HTTP."""
    forget_tokens: Callable[[], None] = lambda: None
    _orders: deque[Order] = field(default_factory=deque)
    _random: Random | None = None
    _share: float = 0.0
    _kinds: tuple[Fault, ...] = ()
    _ended: asyncio.Event = field(default_factory=asyncio.Event)

    def order(self, fault: Fault, *, path: str = "", method: str = "", times: int = 1) -> None:
        """The next ``times`` requests to such a path fail so."""
        self._orders.extend([Order(fault, path, method)] * times)

    def draw(self, seed: int, share: float, kinds: Iterable[Fault] = Fault) -> None:
        """From now on this share of all requests fails, each in a way drawn from ``kinds``."""
        self._random, self._share, self._kinds = Random(seed), share, tuple(kinds)  # noqa: S311 - dice

    def clear(self) -> None:
        self._orders.clear()
        self._random, self.poison = None, ""

    def release(self) -> None:
        """Lets go of what hangs."""
        self._ended.set()

    def _next(self, request: web.Request) -> Fault | None:
        for order in self._orders:
            if order.meets(request):
                self._orders.remove(order)
                return order.fault
        if self._random is not None and self._random.random() < self._share:
            drawn = self._random.choice(self._kinds)
            # Only what makes an upload can leave one behind.
            return Fault.ERROR if drawn is Fault.ORPHAN and request.method != "POST" else drawn
        return None

    async def suffer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Work the request off, or not, with the next fault."""
        fault = self._next(request)
        if fault is None:
            return await handler(request)
        self.seen[fault] += 1
        if fault in INSTEAD:
            return await INSTEAD[fault](self, request, fault)
        if fault is Fault.EXPIRED_TOKEN:
            self.forget_tokens()
        if fault is Fault.ORPHAN:
            request[ORPHANED] = True
        if fault is Fault.LATE:
            await request.read()
            _torn(request)
            await self._wait(self.late)
        answer = await handler(request)
        return await AFTERWARDS[fault](self, request, answer) if fault in AFTERWARDS else answer

    async def _error(self, _request: web.Request, _fault: Fault) -> web.Response:
        return detail(500, "connection to the database was lost")

    async def _busy(self, _request: web.Request, _fault: Fault) -> web.Response:
        headers = {"Retry-After": str(self.retry_after)}
        return web.json_response({"detail": "Too many requests"}, status=429, headers=headers)

    async def _unauthorised(self, _request: web.Request, _fault: Fault) -> web.Response:
        return detail(401, "Could not validate credentials")

    async def _not_json(self, _request: web.Request, _fault: Fault) -> web.Response:
        return web.Response(text="<html><h1>Welcome, please log in</h1></html>", content_type="text/html")

    async def _cut(self, request: web.Request, _fault: Fault) -> web.Response:
        return _torn(request)

    async def _hang(self, request: web.Request, _fault: Fault) -> web.Response:
        await self._wait(self.hang)
        return _torn(request)

    async def _go_away(self, request: web.Request, fault: Fault) -> web.Response:
        assert self.away_now is not None
        await self.away_now(fault, self.away)
        return _torn(request)

    async def _error_after(self, _request: web.Request, _answer: web.StreamResponse) -> web.Response:
        return detail(500, "connection to the broker was lost")

    async def _cut_after(self, request: web.Request, _answer: web.StreamResponse) -> web.Response:
        return _torn(request)

    async def _hang_after(self, request: web.Request, _answer: web.StreamResponse) -> web.Response:
        await self._wait(self.hang)
        return _torn(request)

    async def _half(self, _request: web.Request, answer: web.StreamResponse) -> web.Response:
        body = _body(answer)
        return web.Response(
            body=body[: len(body) // 2], status=answer.status, content_type="application/json"
        )

    async def _trickle(self, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
        body = _body(answer)
        slow = web.StreamResponse(status=answer.status, headers={"Content-Type": "application/json"})
        slow.content_length = len(body)
        await slow.prepare(request)
        step = max(1, len(body) // 10)
        with suppress(ConnectionError):  # whom it took too long
            for at in range(0, len(body), step):
                await slow.write(body[at : at + step])
                await self._wait(self.slow / 10)
        return slow

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)


INSTEAD = {
    Fault.ERROR: Faults._error,
    Fault.BUSY: Faults._busy,
    Fault.UNAUTHORISED: Faults._unauthorised,
    Fault.NOT_JSON: Faults._not_json,
    Fault.CUT_BEFORE: Faults._cut,
    Fault.HANG: Faults._hang,
    **dict.fromkeys(CONNECTION, Faults._go_away),
}
AFTERWARDS = {
    Fault.ERROR_AFTER: Faults._error_after,
    Fault.CUT_AFTER: Faults._cut_after,
    Fault.HANG_AFTER: Faults._hang_after,
    Fault.WRONG_JSON: Faults._half,
    Fault.SLOW_BODY: Faults._trickle,
}


def detail(status: int, text: str) -> web.Response:
    return web.json_response({"detail": text}, status=status)


def _body(answer: web.StreamResponse) -> bytes:
    assert isinstance(answer, web.Response)
    assert isinstance(answer.body, bytes)
    return answer.body


def _torn(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
