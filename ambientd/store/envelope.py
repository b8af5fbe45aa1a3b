"""A file in an envelope: encrypted in chunks under a key of its own, which is locked to each of those who may open it.

    magic      ``ambientd backup 1`` and a line break
    length     of the header, four bytes, big-endian
    header     JSON: name of the envelope's key, box, time, what is inside, and the slots
    chunks     of 1 MiB, the last one shorter, each with its tag of 16 bytes

A chunk's nonce is its number, 11 bytes, and one byte that is 1 for the last: chunks can be neither swapped nor left
out, nor can the file end before its end.  The header is authenticated with each.  Source for the construction:
https://age-encryption.org/v1 (payload).  The number may be the whole nonce, since no two envelopes share a key.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import secrets
import struct
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from ambientd.errors import OperatorError
from ambientd.store import recovery
from ambientd.store.keys import WITH_CREDENTIAL
from ambientd.store.vault import KEY_BYTES, NONCE_BYTES, TAG_BYTES, bound, key_id

MAGIC: Final = b"ambientd backup 1\n"
CHUNK: Final = 1 << 20
_HEADER_DAMAGED: Final = "the header of this backup is damaged"

LARGEST_HEADER: Final = 1 << 16
"""Bytes; a longer one is no header of ours."""


@dataclass(frozen=True, slots=True)
class Header:
    """What is readable without a key: no word, and no id of a session."""

    name: str
    """Of the envelope's own key."""
    box: str
    made: str
    """UTC text."""
    revision: str
    """Of the tables inside."""
    key_id: str
    """The box key it is locked to."""
    slots: Mapping[str, str]
    """``box``, and ``recovery`` if there is a recovery key: the envelope's key, locked; as base64."""


class BadEnvelope(OperatorError):
    """The file is no backup, or was cut short or altered."""


def seal(source: Path, target: BinaryIO, *, box_key: bytes, public: bytes | None, **about: str) -> str:
    """Write ``source`` into an envelope; gives the SHA-256 of what is inside, as hexadecimal digits.

    box_key, public: who may open it: the owner of the box's key, and of the private half of the recovery key.
    about: ``box``, ``made`` and ``revision`` of the header.
    """
    key = secrets.token_bytes(KEY_BYTES)
    name = key_id(key)
    nonce = secrets.token_bytes(NONCE_BYTES)
    slots = {"box": nonce + _box_cipher(box_key).encrypt(nonce, key, bound("backup", name))}
    if public is not None:
        slots["recovery"] = recovery.lock(key, public)
    header = Header(
        name=name,
        key_id=key_id(box_key),
        slots={who: base64.b64encode(slot).decode() for who, slot in slots.items()},
        **about,
    )
    front = _front(json.dumps(asdict(header)).encode())
    target.write(front)
    cipher, digest = AESGCM(key), hashlib.sha256()
    with source.open("rb") as plain:
        for number, (chunk, last) in enumerate(_chunks(plain, CHUNK)):
            digest.update(chunk)
            target.write(cipher.encrypt(_nonce(number, last=last), chunk, _bound(front)))
    return digest.hexdigest()


def header_of(source: BinaryIO) -> tuple[Header, bytes]:
    """The header, and all bytes before the chunks.

    Raises:
        BadEnvelope: it is none of ours.
    """
    head = source.read(len(MAGIC) + 4)
    if head[: len(MAGIC)] != MAGIC or len(head) < len(MAGIC) + 4:
        raise BadEnvelope("this is no backup of ambientd, or one of a newer version")
    (length,) = struct.unpack(">I", head[len(MAGIC) :])
    raw = source.read(min(length, LARGEST_HEADER))
    try:
        fields: Any = json.loads(raw)
        return Header(**fields), head + raw
    except (ValueError, TypeError) as error:
        raise BadEnvelope(_HEADER_DAMAGED) from error


def key_for(header: Header, box_keys: Mapping[str, bytes], private: bytes | None) -> bytes:
    """The envelope's key.

    box_keys: name -> key, of those at hand.
    private: the private half of the recovery key, if it was given.

    Raises:
        OperatorError: none of them opens it.
    """
    if private is not None:
        if "recovery" not in header.slots:
            raise OperatorError(
                "when this backup was made no recovery key had been printed",
                hint=f"Only the box's key {header.key_id} opens it.",
            )
        return recovery.unlock(_slot(header, "recovery"), private, header.name)
    box_key = box_keys.get(header.key_id)
    if box_key is None:
        raise OperatorError(
            f"this backup was made under the box's key {header.key_id}, which is not here",
            hint=f"Where it is a credential: {WITH_CREDENTIAL}.  "
            "Else open the backup with the printed recovery key: --recovery-key.",
        )
    slot = _slot(header, "box")
    try:
        return _box_cipher(box_key).decrypt(
            slot[:NONCE_BYTES], slot[NONCE_BYTES:], bound("backup", header.name)
        )
    except (InvalidTag, ValueError) as error:
        raise BadEnvelope(_HEADER_DAMAGED) from error


def opened(source: BinaryIO, front: bytes, key: bytes) -> Iterator[bytes]:
    """What is inside, chunk by chunk; ``source`` stands behind the header.

    Each chunk is authentic, but only the end of the iteration says that all are there.

    Raises:
        BadEnvelope: a chunk was altered, or the file was cut short.
    """
    cipher = AESGCM(key)
    for number, (chunk, last) in enumerate(_chunks(source, CHUNK + TAG_BYTES)):
        try:
            yield cipher.decrypt(_nonce(number, last=last), chunk, _bound(front))
        except (InvalidTag, ValueError) as error:
            raise BadEnvelope(
                "this backup is damaged or was cut short", hint="Copy it again, or take another one."
            ) from error


def sync(file: BinaryIO) -> None:
    """Make what was written survive loss of power."""
    file.flush()
    os.fsync(file.fileno())


def _slot(header: Header, who: str) -> bytes:
    try:
        return base64.b64decode(header.slots[who], validate=True)
    except (KeyError, TypeError, ValueError) as error:
        raise BadEnvelope(_HEADER_DAMAGED) from error


def _front(header: bytes) -> bytes:
    return MAGIC + struct.pack(">I", len(header)) + header


def _bound(front: bytes) -> bytes:
    return hashlib.sha256(front).digest()


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(NONCE_BYTES - 1) + bytes([last])


def _chunks(source: BinaryIO, size: int) -> Iterator[tuple[bytes, bool]]:
    """Blocks of ``size``, and whether each is the last; one empty block of an empty file."""
    chunk = source.read(size)
    while True:
        following = source.read(size)
        yield chunk, not following
        if not following:
            return
        chunk = following


def _box_cipher(box_key: bytes) -> AESGCM:
    derive = HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"ambientd backup")
    return AESGCM(derive.derive(box_key))
