"""Which certificate the box shows now, and when it is another.

    Rule 1  There is always one.  One made elsewhere goes before the box's own; if it cannot be used, the box's own is,
            and the reason is told.  Nothing here stops the start.
    Rule 2  The box's own is made anew in time, when the machine has an address or a name it lacks, and when the clock
            turns out to have been wrong.  New connections have the new one; those that are open keep theirs.
    Rule 3  The authority is made once.  Every tablet would have to be visited again, so only a person replaces it; or
            nobody could ever use it again.  That the store cannot be read just now is no such reason.

In the folder: ``authority.pem`` (public), ``own.pem`` and ``imported.pem`` (0600: certificate, chain and key).  The
authority's key is not among them: whoever keeps it seals it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from ambientd.core.network import Certificate, Standing
from ambientd.errors import DoesNotOpen, OperatorError
from ambientd.security.authority import (
    LEAF_LIFE,
    Authority,
    Names,
    covered,
    fingerprint,
    issue,
    make_authority,
    names_of,
    read_authority,
)
from ambientd.security.pairs import CertificateUnusable, context_of, read_pair

logger = logging.getLogger(__name__)

OWN: Final = "own.pem"
IMPORTED: Final = "imported.pem"
AUTHORITY: Final = "authority.pem"

KEPT_AS: Final = "authority"
"""The name under which the authority and its key are kept."""

LOOK: Final = 30.0
"""Seconds between two looks at addresses, files and the clock."""

IN_TIME: Final = LEAF_LIFE / 3
"""The box's own is made anew when so much of its life is left: a box that stood in a cupboard for months is in time."""


class Safe(Protocol):
    """Where the authority's key is kept, sealed."""

    async def get(self, name: str) -> bytes | None:
        """What is kept under that name, if anything.

        Raises:
            DoesNotOpen: it never will.
            OperatorError: it cannot be read now.
        """
        ...

    async def keep(self, name: str, content: bytes) -> None:
        """Keep it; on the disk when this returns."""
        ...


class Certificates:
    """The certificates of a box.  Use :func:`open_certificates`."""

    def __init__(
        self,
        folder: Path,
        safe: Safe,
        names: Callable[[], Names],
        *,
        configured: tuple[Path, Path] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.folder = folder
        self._safe = safe
        self._names = names
        self._configured = configured
        self._now = now
        self._authority: Authority | None = None
        self._seen: dict[Path, tuple[int, int] | None] = {}
        self._changing = asyncio.Lock()
        self.context: ssl.SSLContext | None = None
        """What to serve a new connection with; ``None`` only until a look could read the authority."""
        self.standing: Standing | None = None
        self.fault: str | None = None
        """What is wrong with the box's own certificate, and what to do; ``None`` while nothing is."""
        self.observe: Callable[[str, str], None] = lambda _what, _sha256: None
        """Told what has changed: ``authority.made``, ``certificate.made`` or ``certificate.loaded``, and which."""

    @property
    def authority(self) -> x509.Certificate | None:
        """The box's own authority, which tablets install."""
        return self._authority.certificate if self._authority else None

    async def look(self) -> None:
        """Bring what is shown up to date with files, addresses and clock; cheap when nothing has changed.

        What goes wrong is in ``fault``: what was shown before stays.
        """
        async with self._changing:
            try:
                if self._authority is None:
                    self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                    self._authority = await self._open_authority()
                seen = self._stamps()
                if self.context is None or seen != self._seen or not self._still_good():
                    self._choose()
                    self._seen = self._stamps()
                self.fault = None
            except (OperatorError, OSError) as error:
                said = error if isinstance(error, OperatorError) else _unwritable(self.folder, error)
                if self.fault != str(said):
                    logger.error("the certificate is not as it should be", extra={"error": said})  # noqa: TRY400
                self.fault = str(said)

    async def renew(self, *, authority: bool = False) -> None:
        """Make the box's own certificate anew, now; with a new ``authority``, which every tablet must then install.

        Raises:
            OperatorError: it cannot be made or written; the old one stays.
        """
        async with self._changing:
            try:
                if authority:
                    self._authority = await self._make_authority()
                elif self._authority is None:
                    self._authority = await self._open_authority()
                self._make_own(self._authority)
                self._choose()
                self._seen = self._stamps()
            except OSError as error:
                raise _unwritable(self.folder, error) from error

    async def watch(self, every: float = LOOK) -> None:
        """Look again and again, for ever."""
        while True:
            await asyncio.sleep(every)
            await self.look()

    async def _open_authority(self) -> Authority:
        try:
            kept = await self._safe.get(KEPT_AS)
            if kept is not None:
                authority = read_authority(kept)
                self._publish(authority)
                return authority
        except (DoesNotOpen, ValueError) as error:
            # It never will, and tablets refuse either way.  A store that cannot be read now is another matter: what is
            # kept there is good, and looked for again.
            logger.error(  # noqa: TRY400 - nothing to trace
                "the certificate authority cannot be opened: a new one is made, which every tablet must install",
                extra={"error": error},
            )
        return await self._make_authority()

    async def _make_authority(self) -> Authority:
        authority = make_authority(self._names(), self._now())
        await self._safe.keep(KEPT_AS, authority.pem)
        self._publish(authority)
        self.observe("authority.made", fingerprint(authority.certificate))
        return authority

    def _publish(self, authority: Authority) -> None:
        pem = authority.certificate.public_bytes(serialization.Encoding.PEM)
        path = self.folder / AUTHORITY
        with suppress(FileNotFoundError):
            if path.read_bytes() == pem:
                return
        write_private(path, pem, mode=0o644)

    def _stamps(self) -> dict[Path, tuple[int, int] | None]:
        """All files a certificate may come from, and when each was written."""
        files = (*(self._configured or ()), self.folder / IMPORTED, self.folder / OWN)
        return {path: _stamp(path) for path in files}

    def _still_good(self) -> bool:
        if self.standing is None or self._authority is None:
            return False
        now, shown = self._now(), self.standing.certificate
        if self.standing.source != "own":
            return shown.begins <= now < shown.ends
        return self._serves(self._authority, now)

    def _serves(self, authority: Authority, now: datetime) -> bool:
        """Whether the file of the box's own certificate will do."""
        try:
            own = x509.load_pem_x509_certificate((self.folder / OWN).read_bytes())
            own.verify_directly_issued_by(authority.certificate)
        except (OSError, ValueError, TypeError, InvalidSignature):
            return False
        begins, ends = own.not_valid_before_utc, own.not_valid_after_utc
        if now < begins and begins > authority.certificate.not_valid_before_utc:
            return False  # made by a clock that was ahead
        if now >= authority.certificate.not_valid_after_utc:
            return True  # nothing better can be made
        return now < ends - IN_TIME and covered(authority.certificate, self._names()) <= names_of(own)

    def _choose(self) -> None:
        faults: list[str] = []
        slots = {"configured": self._configured} if self._configured else {}
        imported = self.folder / IMPORTED
        if imported.exists():
            slots["imported"] = (imported, imported)
        for source, slot in slots.items():
            try:
                pair = read_pair(*slot, self._now())
                self._show(source, pair.certificate, faults, self._load(pair.pem))
            except (CertificateUnusable, OSError) as error:
                faults.append(f"The {source} certificate is not used: {error}")
                logger.error("a certificate cannot be used", extra={"reason": source})  # noqa: TRY400
                continue
            return
        assert self._authority is not None  # noqa: S101 - look and renew see to it
        if not self._serves(self._authority, self._now()):
            self._make_own(self._authority)
        own = self.folder / OWN
        self._show("own", x509.load_pem_x509_certificate(own.read_bytes()), faults, context_of(own))

    def _load(self, pem: bytes) -> ssl.SSLContext:
        """OpenSSL reads keys from files only, and the two may lie in a place only this process can read now."""
        path = self.folder / "served.pem"
        write_private(path, pem)
        try:
            return context_of(path)
        finally:
            path.unlink()

    def _make_own(self, authority: Authority) -> None:
        try:
            leaf = issue(authority, self._names(), self._now())
        except ValueError as error:
            raise OperatorError(
                f"no certificate can be made: {error}.",
                hint="Set the clock if it is wrong, else: ambientctl certificate renew --authority",
            ) from error
        write_private(self.folder / OWN, leaf.chain)
        self.observe("certificate.made", fingerprint(leaf.certificate))

    def _show(
        self, source: str, certificate: x509.Certificate, faults: list[str], context: ssl.SSLContext
    ) -> None:
        assert self._authority is not None  # noqa: S101 - as above
        here, there = self._names(), names_of(certificate)
        left_out = [*(set(here.names) - set(there.names)), *(set(here.addresses) - set(there.addresses))]
        standing = Standing(
            source,
            described(certificate),
            described(self._authority.certificate),
            tuple(faults),
            tuple(sorted(str(each) for each in left_out)) if source == "own" else (),
        )
        changed = self.standing is None or self.standing.certificate.sha256 != standing.certificate.sha256
        self.context, self.standing = context, standing
        if changed:
            logger.info(
                "certificate in use",
                extra={
                    "reason": source,
                    "sha256": standing.certificate.sha256,
                    "expires": standing.certificate.ends.date().isoformat(),
                },
            )
            self.observe("certificate.loaded", standing.certificate.sha256)


@asynccontextmanager
async def open_certificates(
    certificates: Certificates, *, every: float = LOOK
) -> AsyncIterator[Certificates]:
    """The certificates, kept up to date while the block lasts."""
    await certificates.look()
    watching = asyncio.create_task(certificates.watch(every))
    try:
        yield certificates
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def _unwritable(folder: Path, error: OSError) -> OperatorError:
    return OperatorError(
        f"the certificates in {folder} cannot be written: {os.strerror(error.errno or 0)}.",
        hint="Give the folder to the daemon's user, or free space on its disk.",
    )


def described(certificate: x509.Certificate) -> Certificate:
    """A certificate as people see it."""
    names = names_of(certificate)
    return Certificate(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        (*names.names, *map(str, names.addresses)),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
        fingerprint(certificate),
    )


def certificate_in(path: Path) -> Certificate:
    """The first certificate in a PEM file.

    Raises:
        OSError: it cannot be read.
        ValueError: there is none in it.
    """
    return described(x509.load_pem_x509_certificate(path.read_bytes()))


def write_private(path: Path, content: bytes, *, mode: int = 0o600) -> None:
    """Put a file of that content in the place of the one that may be there; whole or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    fresh.replace(path)


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size
