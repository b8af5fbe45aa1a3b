"""Ids, tokens and codes: made by chance, and kept as hashes.

A token has 256 bits by chance, so a plain SHA-256 of it tells nobody anything: what makes passwords need a slow hash is
that they can be guessed.  Source: https://cheatsheetseries.owasp.org/cheatsheets/Session_Management_Cheat_Sheet.html,
64 bits at least.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Final

TOKEN_BYTES: Final = 32

_LETTERS: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
"""Without those that are taken for others.  Source: https://www.crockford.com/base32.html."""

_READ: Final = str.maketrans("OIL", "011")

SETUP_LETTERS: Final = 8
"""40 bits: a thousand million million guesses, of which a minute allows five."""

EMERGENCY_LETTERS: Final = 32
"""160 bits: it lies in an envelope for years."""

_ID_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"


def new_id(mark: str) -> str:
    """An id such as ``d-7hk2m4q9xz``: it names, and opens nothing."""
    return f"{mark}-" + "".join(secrets.choice(_ID_LETTERS) for _ in range(10))


def new_token() -> str:
    """A token that cannot be guessed."""
    return secrets.token_urlsafe(TOKEN_BYTES)


def new_code(letters: int) -> str:
    """A code to be read from one place and typed in another, in groups of four."""
    code = "".join(secrets.choice(_LETTERS) for _ in range(letters))
    return "-".join(code[place : place + 4] for place in range(0, letters, 4))


def new_password() -> str:
    """A password for somebody who will choose another."""
    return new_code(16).lower()


def compare_code() -> str:
    """Six digits to be compared by eye on two screens."""
    return f"{secrets.randbelow(1_000_000):06}"


def digest(secret: str) -> bytes:
    """A token or code as it is kept."""
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()


def digest_of_code(typed: str) -> bytes:
    """The digest of a code, however it was typed."""
    letters = "".join(typed.upper().split()).replace("-", "").translate(_READ)
    return digest(letters)


def same(one: bytes, other: bytes) -> bool:
    """Whether two digests are the same, in a time that does not tell where they differ."""
    return secrets.compare_digest(one, other)
