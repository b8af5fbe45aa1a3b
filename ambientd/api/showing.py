"""What a caller shows of himself: a cookie, a token, a ticket; and how a browser is given its cookie.

    Rule 1  A token in the address is for WebSockets alone, where a browser cannot set a header; no line we write holds
            an address.
    Rule 2  A cookie speaks for whoever sits at the browser, so it counts only in a request that a page of this box
            made: one that changes something says so in ``Origin``, and none says that it came from another site.
    Rule 3  A WebSocket is opened by a ticket and not by the cookie alone, which a browser would send along by itself.
    Rule 4  There are two cookies: of whoever is logged in, and of the tablet itself.  The first counts before the
            second, so that a shared tablet is itself again when somebody has logged out.

Source: https://www.rfc-editor.org/rfc/rfc6265 and the draft that adds ``__Host-`` and SameSite to it; Fetch Metadata.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web

from ambientd.access.gate import Gate, Issued
from ambientd.api.network import is_socket
from ambientd.api.origin import is_encrypted, is_local, origin_of
from ambientd.core.access import LOCAL, Kind, Principal

COOKIES: Final = ("ambientd", "ambientd-device")
"""Of a person, and of a device."""

HARMLESS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

OWN_SITES: Final = frozenset({"same-origin", "none"})
"""``none``: somebody typed the address, or followed a bookmark."""

SOCKETS: Final = "/ws/"
"""Below it are the WebSockets, and only there a ticket or a token in the address is looked at."""

BACKGROUND: Final = "Ambientd-Background"
"""A page that asks again by itself says so with this header: only a person's doings keep a log-in from being locked."""


def identify(request: web.Request, gate: Gate) -> Principal | None:
    """Who calls, by what he shows; ``None`` for somebody unknown."""
    if is_local(request) and (gate.terms.trust_loopback or request.remote in {None, ""}):
        return LOCAL
    header = request.headers.get("Authorization")
    if header is not None:
        scheme, _, token = header.partition(" ")
        return gate.by_token(token.strip()) if scheme.lower() == "bearer" else None
    if is_socket(request) and request.path.startswith(SOCKETS):
        if (ticket := request.query.get("ticket")) is not None:
            return gate.by_ticket(ticket, purpose_of(request), *cookies(request))
        token = request.query.get("token", "")
        return gate.by_token(token) if token else None
    if not _from_own_page(request):
        return None
    return gate.by_cookies(*cookies(request))


def shown_by(request: web.Request) -> tuple[str, str]:
    """The token and the ticket that a request shows, good or not; empty for none."""
    if (header := request.headers.get("Authorization")) is not None:
        return header.partition(" ")[2].strip(), ""
    if is_socket(request) and request.path.startswith(SOCKETS):
        return request.query.get("token", ""), request.query.get("ticket", "")
    return "", ""


def counts_as_use(request: web.Request) -> bool:
    """Whether a person is behind a request: a page opens sockets by itself too, and of the rest says what it is."""
    return not is_socket(request) and BACKGROUND not in request.headers


def purpose_of(request: web.Request) -> str:
    """What a WebSocket is for: the word behind ``/ws/``."""
    return request.path.removeprefix(SOCKETS).partition("/")[0]


def cookies(request: web.Request) -> tuple[str | None, ...]:
    """The cookies shown, the person's first."""
    return tuple(request.cookies.get(_named(request, name)) for name in COOKIES)


def give(request: web.Request, answer: web.StreamResponse, issued: Issued) -> None:
    """Sends a browser the cookie of a log-in."""
    name = COOKIES[issued.principal.kind is Kind.DEVICE]
    answer.set_cookie(
        _named(request, name),
        issued.token,
        max_age=issued.seconds,
        path="/",
        secure=is_encrypted(request),
        httponly=True,
        samesite="Strict",
    )


def take_back(request: web.Request, answer: web.StreamResponse, principal: Principal) -> None:
    """Has a browser forget the cookie of a log-in."""
    answer.del_cookie(
        _named(request, COOKIES[principal.kind is Kind.DEVICE]),
        path="/",
        secure=is_encrypted(request),
        httponly=True,
        samesite="Strict",
    )


def _named(request: web.Request, name: str) -> str:
    # The prefix makes browsers refuse one that another host, or an unencrypted page, has set.
    return f"__Host-{name}" if is_encrypted(request) else name


def _from_own_page(request: web.Request) -> bool:
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None and site not in OWN_SITES:
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return request.method in HARMLESS
    own = "https" if is_encrypted(request) else "http"
    return origin_of(origin) == (own, request.host)
