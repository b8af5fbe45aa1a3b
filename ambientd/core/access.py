"""Who may do what: roles, permissions and how far each reaches.  Pure rules; who somebody is, is found elsewhere.

Rule 1  A role gives permissions, and each with a reach: over one's own sessions, over the visits that clinicians
share if the box is set so, or over everybody's.
Rule 2  Who keeps the box does not read: an operator has no permission whose answer holds what was said.
Rule 3  Whoever speaks from the box itself has everything.  A session belongs to the principal that opened it, for good.
Rule 4  What is out of somebody's reach is, to him, not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from types import MappingProxyType
from typing import Final

from ambientd.core.record import BOX


class Permission(StrEnum):
    """What a route asks for."""

    RECORD = "record"
    """Open sessions of one's own, by socket, microphone or file."""
    READ = "read"
    """Read what was said, what the clinic said of it, and what the centre answered."""
    AMEND = "amend"
    """Change what the clinic says of a session, and correct its text."""
    DELETE = "delete"
    """Destroy a session that has ended."""
    WATCH = "watch"
    """Know which sessions are under way, without a word of them."""
    STEER = "steer"
    """Pause, end and discard sessions that are under way."""
    ANNOUNCE = "announce"
    """Send a message of one's own to those connected to sessions."""
    SEE_BOX = "see_box"
    """Health, load, figures and findings of the box."""
    RUN_BOX = "run_box"
    """Settings, purge, backup, copies, the list of names."""
    SYNC = "sync"
    """See and steer the deliveries; never their text."""
    PEOPLE = "people"
    """Accounts, devices, pairings."""
    AUDIT = "audit"
    """Read the audit."""


class Role(StrEnum):
    """What somebody is to the box."""

    CLINICIAN = "clinician"
    OPERATOR = "operator"
    READER = "reader"
    INTEGRATION = "integration"
    LOCAL = "local"
    """A program on the box itself; never given to anybody."""
    EMERGENCY = "emergency"
    """Whoever broke the glass; never given to anybody, and short."""


GIVEN: Final = frozenset({Role.CLINICIAN, Role.OPERATOR, Role.READER, Role.INTEGRATION})
"""The roles an account or device can have."""


class Reach(IntEnum):
    """Over whose sessions a permission goes."""

    OWN = 1
    VISITS = 2
    """Everybody's where visits are shared, else one's own."""
    ALL = 3


_P, _R = Permission, Reach

GRANTS: Final[Mapping[Role, Mapping[Permission, Reach]]] = MappingProxyType(
    {
        Role.CLINICIAN: {
            _P.RECORD: _R.OWN,
            _P.READ: _R.VISITS,
            _P.AMEND: _R.VISITS,
            _P.DELETE: _R.OWN,
            _P.WATCH: _R.VISITS,
            _P.STEER: _R.VISITS,
            _P.ANNOUNCE: _R.OWN,
        },
        Role.OPERATOR: {
            _P.DELETE: _R.ALL,
            _P.WATCH: _R.ALL,
            _P.STEER: _R.ALL,
            _P.ANNOUNCE: _R.ALL,
            _P.SEE_BOX: _R.ALL,
            _P.RUN_BOX: _R.ALL,
            _P.SYNC: _R.ALL,
            _P.PEOPLE: _R.ALL,
            _P.AUDIT: _R.ALL,
        },
        Role.READER: {_P.READ: _R.ALL, _P.WATCH: _R.ALL},
        Role.INTEGRATION: {
            _P.RECORD: _R.OWN,
            _P.READ: _R.OWN,
            _P.AMEND: _R.OWN,
            _P.DELETE: _R.OWN,
            _P.WATCH: _R.OWN,
            _P.STEER: _R.OWN,
            _P.ANNOUNCE: _R.OWN,
        },
        Role.LOCAL: dict.fromkeys(Permission, _R.ALL),
        Role.EMERGENCY: dict.fromkeys(Permission, _R.ALL),
    }
)


class Kind(StrEnum):
    """What a principal is."""

    LOCAL = "local"
    ACCOUNT = "account"
    DEVICE = "device"
    EMERGENCY = "emergency"


@dataclass(frozen=True, slots=True)
class Principal:
    """Who speaks to the box."""

    id: str
    """One word, for good: what sessions and the audit know him by."""
    kind: Kind
    role: Role
    name: str
    """As people call it; never in a log."""
    login: str | None = None
    """Id of the log-in he is here by; ``None`` on the box itself and for a token."""
    locked: bool = False
    """Idle for too long: he must unlock first."""

    @property
    def is_local(self) -> bool:
        """Whether he is on the box itself."""
        return self.kind is Kind.LOCAL

    def may(self, permissions: Iterable[Permission]) -> bool:
        """Whether his role gives him at least one of them."""
        return any(permission in GRANTS[self.role] for permission in permissions)


LOCAL: Final = Principal(BOX, Kind.LOCAL, Role.LOCAL, "this box")
"""Whoever speaks from the box itself; also the owner of what a button or a voice began."""


def permissions(role: Role) -> list[Permission]:
    """What a role may do, in the order of ``Permission``."""
    return [permission for permission in Permission if permission in GRANTS[role]]


def includes(role: Role, other: Role) -> bool:
    """Whether a role may do everything that the other may, as far as it."""
    return all(GRANTS[role].get(permission, 0) >= reach for permission, reach in GRANTS[other].items())


def reaches_all(principal: Principal, permission: Permission, *, shared: bool) -> bool:
    """Whether a permission goes over everybody's sessions.  ``shared``: whether clinicians share visits."""
    reach = GRANTS[principal.role].get(permission)
    return reach is Reach.ALL or (reach is Reach.VISITS and shared)


def reaches(principal: Principal, permission: Permission, owner: str, *, shared: bool) -> bool:
    """Whether a permission goes over a session of ``owner``, the id of a principal."""
    if permission not in GRANTS[principal.role]:
        return False
    return owner == principal.id or reaches_all(principal, permission, shared=shared)
