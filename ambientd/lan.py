"""The box in its network: certificates, limits, the HTTPS door and the announcement, put together.

Nothing here stops the start: a port that is taken, a certificate that cannot be read, a network that is not there are
told, mended when they can be, and meanwhile the box records.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import socket
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives import serialization

from ambientd.accesslog import AccessLog
from ambientd.announce import Presence, announced
from ambientd.api.wire import Patience, Wires, open_wires
from ambientd.config.lan import Lan
from ambientd.core.checks import Finding
from ambientd.core.network import Standing
from ambientd.security import findings
from ambientd.security.addresses import lan_addresses, this_machine
from ambientd.security.authority import Names
from ambientd.security.certificates import Certificates, open_certificates
from ambientd.security.door import Bounds, Door, listen_on, open_door
from ambientd.security.limits import Limits, rates
from ambientd.store.audit import Audit
from ambientd.store.database import Database
from ambientd.store.secrets_of_box import Secrets

logger = logging.getLogger(__name__)

FOLDER: Final = "tls"
"""Below the store's directory."""

FRESH: Final = 10.0
"""Seconds for which the machine's names are believed."""

AGAIN: Final = 10.0
"""Seconds between two attempts to open a door whose port is taken."""

HTTPS: Final = 443


class LocalNetwork:
    """What the application knows of the network; see :class:`ambientd.api.network.Network`."""

    def __init__(self, settings: Lan, directory: Path, database: Database, audit: Audit) -> None:
        self._settings = settings
        self._names: tuple[float, Names] | None = None
        self.limits = Limits(
            rates(streams=settings.streams_per_minute, requests=settings.requests_per_minute),
            ban=settings.ban,
        )
        configured = (Path(settings.certificate), Path(settings.key)) if settings.certificate else None
        self.certificates = Certificates(
            directory / FOLDER,
            Secrets(database, directory / FOLDER),
            lambda: self.names,
            configured=configured,
        )
        self.door: Door | None = None
        self.wires: Wires | None = None
        self.port: int | None = None
        """Where the door is open; ``None`` while it is not."""
        self.held: int | None = None
        """A port that systemd keeps open though nobody is to come in."""

        def told(what: str, address: str, reason: str) -> None:
            if what == "ban":
                logger.warning("an address is shut out", extra={"remote": address, "reason": reason})
            else:
                logger.info("an address is let in again", extra={"remote": address})
            action = "address.banned" if what == "ban" else "address.let_in"
            audit.note(actor="box", action=action, object=address, origin="lan", outcome=reason)

        self.limits.observe = told
        self.certificates.observe = lambda what, sha256: audit.note(
            actor="box", action=what, object=sha256, origin="lan"
        )

    @property
    def names(self) -> Names:
        """What this machine is called, as of a few seconds ago."""
        now = time.monotonic()
        if self._names is None or now - self._names[0] > FRESH:
            self._names = (now, this_machine(self._settings.known_as))
        return self._names[1]

    @property
    def standing(self) -> Standing | None:
        """How it stands with certificates."""
        return self.certificates.standing

    @property
    def authority_der(self) -> bytes:
        """The box's own authority."""
        authority = self.certificates.authority
        return b"" if authority is None else authority.public_bytes(serialization.Encoding.DER)

    @property
    def connections(self) -> int:
        """Connections from the network, now."""
        return 0 if self.door is None else self.door.inside

    @property
    def addresses(self) -> Sequence[str]:
        """Where tablets reach the box: by address first, which needs no name to be found."""
        if self.port is None:
            return ()
        suffix = "" if self.port == HTTPS else f":{self.port}"
        found = [f"[{a}]" if a.version == 6 else str(a) for a in self._reached()]  # noqa: PLR2004 - IP versions
        names = [name for name in self.names.names if "." in name]
        return tuple(f"https://{each}{suffix}" for each in (*found, *names))

    def knows(self, host: str) -> bool:
        """Whether the box is called so."""
        return host in self.names.names

    async def renew(self, *, authority: bool) -> None:
        """A new certificate, now."""
        await self.certificates.renew(authority=authority)

    def redirect(self, host: str) -> str | None:
        """Where a plain request for ``host`` should have gone; never a name that is not the box's."""
        name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
        try:
            address = ipaddress.ip_address(name)
            name = f"[{address}]" if address.version == 6 else str(address)  # noqa: PLR2004 - IP versions
        except ValueError:
            if not self.knows(name.lower()):
                return None
        return f"https://{name.lower()}{'' if self.port == HTTPS else f':{self.port}'}/"

    def presence(self) -> Presence | None:
        """What is announced."""
        if self.port is None:
            return None
        host = socket.gethostname().partition(".")[0]
        return Presence(host, tuple(map(str, self._reached())), self.port)

    async def findings(self) -> Sequence[Finding]:
        """What is wrong with door and certificate."""
        if not self._settings.enabled:
            return [] if self.held is None else [findings.held(self.held)]
        return [
            findings.door(self.port, self._settings.port),
            findings.banned(len(self.limits.bans)),
            findings.certificate(self.standing, self.certificates.fault, datetime.now(UTC)),
        ]

    def _reached(self) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
        if self._settings.host:
            return [ipaddress.ip_address(self._settings.host)]
        return lan_addresses()


@asynccontextmanager
async def open_lan(
    runner: web.BaseRunner, network: LocalNetwork, settings: Lan, given: Sequence[socket.socket] = ()
) -> AsyncIterator[None]:
    """The door to the network, open while the block lasts; the sockets ``given`` by systemd go before the settings."""
    if not settings.enabled:
        for listener in given:
            # Closed here, it stays open in systemd: who connects is neither let in nor sent away.
            network.held = listener.getsockname()[1]
            listener.close()
        yield
        return
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(open_certificates(network.certificates))
        wires = await stack.enter_async_context(
            open_wires(Patience(settings.head_timeout, settings.body_rate, settings.memory), AccessLog)
        )
        server = runner.server
        assert server is not None  # noqa: S101 - the runner is set up
        door = Door(
            Bounds(settings.connections, settings.address_connections, settings.handshake_timeout),
            network.limits,
            lambda: network.certificates.context,
            lambda over: wires.line(server, over),
            network.redirect,
        )
        network.door, network.wires = door, wires
        listeners = list(given) or await _listeners(settings)
        if listeners:
            await _let_in(stack, network, door, listeners)
        else:
            opening = asyncio.create_task(_open_later(stack, network, door, settings))
            stack.push_async_callback(_end, opening)
        if settings.announce:
            await stack.enter_async_context(announced(network.presence))
        try:
            yield
        finally:
            network.port = None


async def _listeners(settings: Lan) -> list[socket.socket]:
    """Sockets as the settings want them; none if they cannot be had now, and the log says why."""
    try:
        return listen_on(settings.host, settings.port)
    except OSError as error:
        logger.error(  # noqa: TRY400 - nothing to trace
            "the door to the network cannot be opened: stop what uses the port, or set lan.port",
            extra={"error": error, "port": settings.port},
        )
        return []


async def _open_later(stack: AsyncExitStack, network: LocalNetwork, door: Door, settings: Lan) -> None:
    while True:
        await asyncio.sleep(AGAIN)
        if listeners := await _listeners(settings):
            await _let_in(stack, network, door, listeners)
            return


async def _let_in(
    stack: AsyncExitStack, network: LocalNetwork, door: Door, listeners: Sequence[socket.socket]
) -> None:
    network.port = listeners[0].getsockname()[1]
    await stack.enter_async_context(open_door(door, listeners))
    standing = network.standing
    logger.info(
        "tablets and programs in the network reach this box; its certificate is to be installed from /ca once",
        extra={"url": network.addresses, "sha256": standing.authority.sha256 if standing else None},
    )


async def _end(task: asyncio.Task[None]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
