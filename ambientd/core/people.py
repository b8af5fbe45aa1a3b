"""Accounts, devices, log-ins and pairings as plain things, and the rules for names, passwords and time.

Rule 1  A log-in ends at its time, whatever is done with it, and is locked when nobody has touched it for a while.  A
time that lies ahead of now was written by another clock: it counts as long ago.
Rule 2  A name is compared as it is read, so that nobody can call himself what another is called.
Rule 3  A password is long.  What kinds of letters it has is nobody's business.  Source: NIST SP 800-63B section 3.1.1.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from ambientd.core.access import GIVEN, Kind, Role
from ambientd.errors import ClientError

LONGEST_NAME: Final = 64
SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 256
"""Characters; longer ones cost time to hash and protect no better."""

SHORTEST_PIN: Final = 4
LONGEST_PIN: Final = 12


@dataclass(frozen=True, slots=True)
class Account:
    """A person with a password."""

    id: str
    name: str
    role: Role
    password: str
    """Its hash, with salt and cost."""
    created_at: datetime
    revoked_at: datetime | None = None

    kind = Kind.ACCOUNT


@dataclass(frozen=True, slots=True)
class Device:
    """A paired browser, or a program with a token."""

    id: str
    name: str
    role: Role
    created_at: datetime
    expires_at: datetime
    added_by: str
    """Id of the principal that let it in."""
    token: bytes | None = None
    """Hash of a program's token; ``None`` for a browser."""
    pin: str | None = None
    """Hash of what unlocks a browser."""
    revoked_at: datetime | None = None

    kind = Kind.DEVICE


@dataclass(frozen=True, slots=True)
class Login:
    """A browser that has shown who uses it."""

    id: str
    token: bytes
    """Hash of its cookie."""
    principal: str
    """Id of an account, a device or an emergency."""
    created_at: datetime
    expires_at: datetime
    seen_at: datetime
    locked: bool = False


@dataclass(frozen=True, slots=True)
class Pairing:
    """A browser that asks to be let in."""

    id: str
    secret: bytes
    """Hash of what only that browser knows."""
    code: str
    """Shown on both screens, to be compared; it opens nothing."""
    name: str
    origin: str
    """The address it asks from."""
    created_at: datetime
    expires_at: datetime
    status: str
    """``waiting``, ``approved`` or ``refused``."""
    device_id: str | None = None


def folded(name: str) -> str:
    """A name as it is compared."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold()).strip()


def check_name(name: object) -> str:
    """``name`` if somebody or something can be called so.

    Raises:
        ClientError: it cannot.
    """
    if not isinstance(name, str) or not name.isprintable() or not 1 <= len(name.strip()) <= LONGEST_NAME:
        raise ClientError("bad_name", f"name must be 1 to {LONGEST_NAME} printable characters")
    return name.strip()


def check_password(password: object, name: str) -> str:
    """``password`` if it may be that of somebody called ``name``.

    Raises:
        ClientError: it may not, and why; the message does not quote it.
    """
    if not isinstance(password, str) or not SHORTEST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise ClientError(
            "bad_password",
            f"a password has {SHORTEST_PASSWORD} to {LONGEST_PASSWORD} characters",
            hint="Four or five words that do not belong together are easy to keep in mind.",
        )
    if len(set(password)) < 5 or folded(password).replace(folded(name), "") == "":  # noqa: PLR2004 - letters
        raise ClientError(
            "bad_password",
            "this password would be among the first to be guessed",
            hint="Take one that is neither a name nor a letter or two again and again.",
        )
    return password


def check_pin(pin: object) -> str:
    """``pin`` if it may unlock a browser.

    Raises:
        ClientError: it may not, and why.
    """
    if (
        not isinstance(pin, str)
        or not pin.isascii()
        or not pin.isdigit()
        or not SHORTEST_PIN <= len(pin) <= LONGEST_PIN
    ):
        raise ClientError("bad_pin", f"a PIN has {SHORTEST_PIN} to {LONGEST_PIN} digits")
    if len(set(pin)) == 1 or pin in "0123456789" or pin in "9876543210":
        raise ClientError("bad_pin", "this PIN would be among the first to be guessed")
    return pin


def check_role(role: object) -> Role:
    """``role`` if it can be given to somebody.

    Raises:
        ClientError: it cannot.
    """
    if not isinstance(role, str) or role not in GIVEN:
        raise ClientError("bad_role", "no such role", hint=f"Use one of {', '.join(sorted(GIVEN))}.")
    return Role(role)


def expired(expires_at: datetime, now: datetime) -> bool:
    """Whether something has come to its end."""
    return now >= expires_at


def idle_for(seen_at: datetime, now: datetime) -> timedelta:
    """How long nobody has touched it; very long if the clocks do not agree."""
    return now - seen_at if seen_at <= now else timedelta.max
