"""What a check finds: the same words on the page, in ``ambientctl doctor`` and for a monitoring system.

Each finding says how bad it is, why, and what mends it; the command can be copied as it stands.  No finding names a
patient, an encounter or a session, nor quotes what was said: findings are read out on the telephone and mailed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Severity(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Nothing is wrong; somebody may want to know."""
    WARNING = "warning"
    """The box works, and will not, or not as it should, unless somebody acts."""
    CRITICAL = "critical"
    """The box does not do what it is for, or is about to lose something."""


_RANK: Final = {Severity.OK: 0, Severity.NOTE: 1, Severity.WARNING: 2, Severity.CRITICAL: 3}


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check."""

    id: str
    """``room.what``, such as ``store.disk``; stable, so that a monitoring system can name it."""
    title: str
    """What was looked at, two to four words."""
    severity: Severity = Severity.OK
    reason: str = ""
    """What was found, one sentence with its figures."""
    remedy: str = ""
    """What to do about it, one sentence; empty where nothing is wrong."""
    command: str = ""
    """The command that mends it, or shows more, as it is typed on the box; empty where there is none."""


def worst(findings: Iterable[Finding]) -> Severity:
    """The worst severity among them; ``OK`` for none."""
    return max((each.severity for each in findings), key=_RANK.__getitem__, default=Severity.OK)


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first; among equals as they came."""
    return sorted(findings, key=lambda each: -_RANK[each.severity])


def merged(*lists: Iterable[Finding]) -> list[Finding]:
    """One finding an id, the first list's before the next's: who stands nearer to a thing is listed first."""
    kept: dict[str, Finding] = {}
    for findings in lists:
        for each in findings:
            kept.setdefault(each.id, each)
    return ordered(kept.values())


def exit_status(severity: Severity) -> int:
    """For scripts: 0 nothing to do, 1 warning, 2 critical.

    Source: the Monitoring Plugins' guidelines, whose 0, 1 and 2 every monitoring system takes as they are.
    """
    return max(0, _RANK[severity] - 1)
