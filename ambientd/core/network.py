"""The words for the box's place in a network: what is counted, who is shut out, how it proves that it is the box."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Rate(StrEnum):
    """What is counted of one address, or of one token."""

    CONNECT = "connections"
    STREAM = "streams"
    """WebSockets opened."""
    RETURN = "returns"
    """WebSockets opened to go on with a session."""
    REQUEST = "requests"
    LOGIN = "log-ins"
    """Failed ones: passwords, set-up codes, tokens."""
    REFUSAL = "refusals"
    """How often one of the others was refused."""


@dataclass(frozen=True, slots=True)
class Ban:
    """An address that is shut out."""

    address: str
    """As counted: for IPv6 the /64."""
    reason: str
    """The rate it went beyond."""
    since: float
    """Seconds of the clock that never jumps."""
    until: float


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate as people see it."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    begins: datetime
    ends: datetime
    sha256: str
    """Pairs of hexadecimal digits with colons between, as browsers show it."""


@dataclass(frozen=True, slots=True)
class Standing:
    """How the box stands with its certificates."""

    source: str
    """``configured``, ``imported`` or ``own``."""
    certificate: Certificate
    """The one in use."""
    authority: Certificate
    """The box's own, which tablets install."""
    faults: tuple[str, ...] = ()
    """Why a certificate made elsewhere is not used, a sentence each."""
    left_out: tuple[str, ...] = ()
    """Names of this machine that the box's own certificate does not cover."""
