"""One HTTP call to the centre, and what its failure means.

Nothing here is logged: bodies are consultations, and a query string may hold the token.
"""

from __future__ import annotations

import json
import ssl
import urllib.request
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from yarl import URL

from ambientd import __version__
from ambientd.core.retry import Verdict, may_have_been_taken, retry_after, verdict
from ambientd.errors import CentralRejected, CentralUnavailable, OperatorError
from ambientd.sync.route import Route

LARGEST_REPLY: Final = 4 << 20
"""Bytes: 50,000 characters of text, escaped, and a few hundred answers fit several times."""

KEEP_ALIVE: Final = 2.0
"""Seconds a connection is kept for the next call.  Below the 5 s of the centre's uvicorn: a call on a connection that
the other end is closing would be one of unknown outcome."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def document(self) -> Any:
        """The body as JSON.

        Raises:
            CentralUnavailable: it is something else, such as a page of somebody in between.
        """
        try:
            return json.loads(self.body)
        except ValueError:
            raise nonsense() from None  # json's own error holds the document

    @property
    def date(self) -> datetime | None:
        """The server's clock, to the second."""
        try:
            moment = parsedate_to_datetime(self.headers.get("Date", ""))
        except ValueError:
            return None
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def nonsense() -> CentralUnavailable:
    """The answer makes no sense; whether the request was worked off is unknown."""
    return CentralUnavailable(
        "the answer did not come from the central server, or not all of it.",
        certain=False,
        hint="If it stays so: check sync.url, and whether a proxy or portal stands in between.",
    )


def settle(reply: Reply) -> None:
    """Return if the centre has done what it was asked.

    Raises:
        CentralUnavailable: not now.
        CentralRejected: never.
    """
    judged = verdict(reply.status)
    if judged is Verdict.DONE:
        return
    if judged is Verdict.PERSON:
        raise CentralRejected(f"the central server refused it with status {reply.status}.")
    wait = retry_after(reply.headers.get("Retry-After"), reply.date or datetime.now(UTC))
    redirected = 300 <= reply.status < 400  # noqa: PLR2004 - the class of redirections
    raise CentralUnavailable(
        f"the central server answered with status {reply.status}.",
        certain=not may_have_been_taken(reply.status),
        everyone=redirected or wait is not None or reply.status in {407, 429},
        retry_after=wait,
        status=reply.status,
        hint="Correct sync.url: it is redirected, and consultations do not follow." if redirected else "",
    )


class Central:
    """The way to one centre.  Made by :func:`open_central`."""

    def __init__(self, http: aiohttp.ClientSession, base: str, proxy: str | None) -> None:
        self._http = http
        self._base = base.rstrip("/")
        self._proxy = proxy
        self._ahead = timedelta()
        self.met = False
        """Whether there has been any answer yet."""

    def by_its_clock(self, moment: datetime) -> datetime:
        """A time of ours as the centre's clock had it, as far as its answers have told."""
        return moment + self._ahead

    async def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request, whatever the answer's status.

        Raises:
            CentralUnavailable: no answer, or only a part of it.
        """
        url = URL(self._base + path, encoded=True).update_query(query or {})
        try:
            async with self._http.request(
                method, url, data=body, headers=headers, proxy=self._proxy, allow_redirects=False
            ) as response:
                content = await _bounded(response)
                reply = Reply(response.status, response.headers, content)
        except aiohttp.ClientConnectorCertificateError as error:
            raise _untrusted(error) from error
        except (
            aiohttp.ClientConnectorError,
            aiohttp.ConnectionTimeoutError,
            aiohttp.ClientHttpProxyError,
        ) as error:
            raise CentralUnavailable(
                "the central server cannot be reached.",
                certain=True,
                everyone=True,
                hint="Check the network, sync.url and the proxy.",
            ) from error
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
            raise CentralUnavailable(
                "the address of the central server is none.",
                certain=True,
                everyone=True,
                hint="Correct sync.url.",
            ) from error
        except TimeoutError as error:
            raise CentralUnavailable("the central server did not answer in time.", certain=False) from error
        except (aiohttp.ClientError, OSError) as error:
            raise CentralUnavailable("the connection to the central server broke.", certain=False) from error
        self._learn(reply)
        return reply

    async def ask(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str] | None = None,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One request that is to succeed; 401 and 403 are given back, since a new log-in may heal them.

        Raises:
            CentralUnavailable: not now.
            CentralRejected: never.
        """
        reply = await self.call(method, path, query=query, body=body, headers=headers)
        if reply.status not in {401, 403}:
            settle(reply)
        return reply

    async def greet(self) -> None:
        """See that somebody is there, and what time it is there, before anything of a patient is sent.

        Raises:
            CentralUnavailable: nobody is.
        """
        await self.call("GET", "/health")

    def _learn(self, reply: Reply) -> None:
        self.met = True
        if (date := reply.date) is not None:
            self._ahead = date - datetime.now(UTC)


@asynccontextmanager
async def open_central(route: Route) -> AsyncIterator[Central]:
    """The way to the centre of these route, for as long as the block lasts.

    Raises:
        OperatorError: a certificate file cannot be used.
    """
    timeout = aiohttp.ClientTimeout(
        total=route.request_timeout, connect=route.connect_timeout, sock_connect=route.connect_timeout
    )
    trust = _trust(route) if route.url.startswith("https:") else True
    connector = aiohttp.TCPConnector(ssl=trust, keepalive_timeout=KEEP_ALIVE, limit=4)
    async with aiohttp.ClientSession(
        connector=connector,
        timeout=timeout,
        cookie_jar=aiohttp.DummyCookieJar(),
        headers={"User-Agent": f"ambientd/{__version__}", "Accept": "application/json"},
    ) as http:
        yield Central(http, route.url, _proxy(route))


def _trust(route: Route) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=route.ca_file)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        if route.client_certificate is not None:
            context.load_cert_chain(route.client_certificate)
    except (OSError, ssl.SSLError) as error:
        raise OperatorError(
            "the certificates for the central server cannot be used.",
            hint="Check the files in sync.ca_file and sync.client_certificate: PEM, readable for the service.",
        ) from error
    return context


def _proxy(route: Route) -> str | None:
    """The proxy in the settings, else the environment's; not aiohttp's ``trust_env``, which also reads ``~/.netrc``."""
    if route.proxy:
        return route.proxy
    url = URL(route.url)
    if not url.host or urllib.request.proxy_bypass(url.host):
        return None
    return urllib.request.getproxies().get(url.scheme)


def _untrusted(error: aiohttp.ClientConnectorCertificateError) -> CentralUnavailable:
    cause = error.certificate_error
    reason = cause.verify_message if isinstance(cause, ssl.SSLCertVerificationError) else "it does not match"
    return CentralUnavailable(
        f"the central server's certificate is not trusted: {reason}.",
        certain=True,
        everyone=True,
        hint="Check the box's clock, the server's certificate and sync.ca_file.",
    )


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    content = bytearray()
    async for piece in response.content.iter_any():
        content += piece
        if len(content) > LARGEST_REPLY:
            response.close()
            raise nonsense()
    return bytes(content)
