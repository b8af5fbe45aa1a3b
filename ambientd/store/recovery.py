"""The recovery key: half of it printed once and put in a safe, the other half kept here.

The box's key is kept locked to the public half, so that a rotation locks the new one without anything printed anew.
What is printed is an X25519 private key in base32 with a checksum, in groups of four; the letters that look like digits
are not used.  Source: https://www.crockford.com/base32.html; RFC 7748 (X25519), RFC 5869 (HKDF).
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ambientd.errors import OperatorError
from ambientd.store.vault import KEY_BYTES, NONCE_BYTES, bound, key_id

CHECK_BYTES: Final = 3
"""With the 32 of the key 280 bits, 14 groups of four letters; a slip of the pen goes unnoticed once in 16 million."""

GROUP: Final = 4

_RFC4648: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_SPELL: Final = str.maketrans(_RFC4648, _CROCKFORD)
_READ: Final = str.maketrans(_CROCKFORD + "OIL", _RFC4648 + "ABB")
"""``O`` is read as 0, ``I`` and ``L`` as 1."""


def make() -> tuple[str, bytes]:
    """A new recovery key: what is to be printed, and the public half."""
    private = X25519PrivateKey.generate()
    return spelt(private.private_bytes_raw()), private.public_key().public_bytes_raw()


def spelt(private: bytes) -> str:
    """A private key as it is printed."""
    letters = base64.b32encode(private + _check(private)).decode().translate(_SPELL)
    return "-".join(letters[place : place + GROUP] for place in range(0, len(letters), GROUP))


def parse(printed: str) -> bytes:
    """The private key that ``spelt`` printed, however it was typed.

    Raises:
        OperatorError: a letter is missing or wrong.
    """
    letters = "".join(printed.upper().split()).replace("-", "").translate(_READ)
    try:
        raw = base64.b32decode(letters)
    except ValueError:
        raw = b""
    private, check = raw[:KEY_BYTES], raw[KEY_BYTES:]
    if len(raw) != KEY_BYTES + CHECK_BYTES or check != _check(private):
        raise OperatorError(
            "this is not a recovery key: a letter is missing or wrong",
            hint="It has 14 groups of four letters and digits.  Compare it with the print, group by group.",
        )
    return private


def lock(box_key: bytes, public: bytes) -> bytes:
    """The box's key, for the owner of the private half alone."""
    passing = X25519PrivateKey.generate()
    seen = passing.public_key().public_bytes_raw()
    shared = passing.exchange(X25519PublicKey.from_public_bytes(public))
    nonce = secrets.token_bytes(NONCE_BYTES)
    sealed = _cipher(shared, seen, public).encrypt(nonce, box_key, _bound(key_id(box_key)))
    return seen + nonce + sealed


def unlock(locked: bytes, private: bytes, name: str) -> bytes:
    """The box's key of that name from what ``lock`` gave.

    Raises:
        OperatorError: it was locked for another recovery key.
    """
    own = X25519PrivateKey.from_private_bytes(private)
    seen, nonce, sealed = locked[:32], locked[32 : 32 + NONCE_BYTES], locked[32 + NONCE_BYTES :]
    try:
        shared = own.exchange(X25519PublicKey.from_public_bytes(seen))
        cipher = _cipher(shared, seen, own.public_key().public_bytes_raw())
        return cipher.decrypt(nonce, sealed, _bound(name))
    except (InvalidTag, ValueError) as error:
        raise OperatorError(
            "this recovery key does not open this box's key",
            hint="It was printed for another box, or a newer one was printed since.",
        ) from error


def _cipher(shared: bytes, seen: bytes, public: bytes) -> AESGCM:
    derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=seen + public, info=b"ambientd recovery")
    return AESGCM(derive.derive(shared))


def _bound(name: str) -> bytes:
    return bound("recovery", "box key", name)


def _check(private: bytes) -> bytes:
    return hashlib.sha256(b"ambientd recovery key" + private).digest()[:CHECK_BYTES]
