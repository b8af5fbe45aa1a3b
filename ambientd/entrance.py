"""Who may come in, put together: the gate, those who are let in through it, and the code for the first of them."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from ambientd.access.gate import Attempts, Gate, Terms, open_gate
from ambientd.access.joining import SHOWN_FOR, Joining
from ambientd.config.access import Access
from ambientd.core.checks import Finding, Severity
from ambientd.core.network import Rate
from ambientd.security.limits import Limits
from ambientd.store.audit import Audit
from ambientd.store.database import Database
from ambientd.store.pairings import Pairings

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counted(Attempts):
    """Wrong attempts as the network's limits count them."""

    limits: Limits

    def check(self, address: str) -> None:
        """Raises :class:`ClientError` if there were too many."""
        self.limits.check(Rate.LOGIN, address)

    def failed(self, address: str) -> None:
        """One more."""
        self.limits.failed_login(address)


@dataclass(frozen=True, slots=True)
class Entrance:
    """What the application needs to know who calls."""

    gate: Gate
    joining: Joining

    async def findings(self) -> Sequence[Finding]:
        """What whoever keeps the box should know about who may come in."""
        return [self._first_account(), self._glass(), await self._envelope()]

    def _first_account(self) -> Finding:
        if self.joining.setup_code is None:
            return Finding("access.setup", "First account")
        return Finding(
            "access.setup",
            "First account",
            Severity.NOTE,
            "Nobody has an account yet: only programs on the box itself can use it.",
            "Open the box's page and enter the set-up code.",
            "ambientctl setup",
        )

    def _glass(self) -> Finding:
        title, opened = "Emergency access", self.joining.opened_at
        if self.joining.emergencies():
            return Finding(
                "access.emergency",
                title,
                Severity.CRITICAL,
                "The emergency code was used: somebody has all rights just now.",
                "Find out who and why; the audit tells from where. Revoke it if nobody should.",
                "ambientctl devices list",
            )
        if opened is not None and self.gate.now() - opened < SHOWN_FOR:
            return Finding(
                "access.emergency",
                title,
                Severity.WARNING,
                f"The emergency code was used on {opened:%Y-%m-%d at %H:%M} UTC.",
                "Find out who and why, and seal a new code.",
                "ambientctl access seal",
            )
        return Finding("access.emergency", title)

    async def _envelope(self) -> Finding:
        title = "Emergency code"
        if self.joining.setup_code is not None or await self.gate.people.emergency_sealed():
            return Finding("access.envelope", title)
        return Finding(
            "access.envelope",
            title,
            Severity.NOTE,
            "There is no emergency code: if all who may read are away, only the box itself can be asked.",
            "Print one and put it into a sealed envelope.",
            "ambientctl access seal",
        )


_HOUR: Final = 3_600


def terms_of(settings: Access) -> Terms:
    """What the settings say."""
    return Terms(
        shared_visits=settings.shared_visits,
        trust_loopback=settings.trust_loopback,
        idle=timedelta(seconds=settings.idle_lock) if settings.idle_lock else None,
        login=timedelta(seconds=settings.login_hours * _HOUR),
        device=timedelta(days=settings.device_days),
        program=timedelta(days=settings.token_days),
        pairing=timedelta(seconds=settings.pairing_time),
        emergency=timedelta(seconds=settings.emergency_time),
    )


@asynccontextmanager
async def open_entrance(
    database: Database, audit: Audit, settings: Access, limits: Limits
) -> AsyncIterator[Entrance]:
    """The entrance of a box; while nobody has an account, the log tells the code for the first."""
    async with open_gate(database, audit, terms_of(settings), attempts=Counted(limits)) as gate:
        joining = Joining(gate, Pairings(database))
        if (code := joining.setup_code) is not None:
            logger.warning(
                "nobody has an account yet: the box's page asks for this code once",
                extra={"setup_code": code},
            )
        yield Entrance(gate, joining)
