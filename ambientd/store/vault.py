"""What guards words at rest: AES-256-GCM, one data key for each session, each wrapped by the box's key.

    Rule 1  A session's words are sealed with its own data key.  Destroying that key, a row of ``session_keys``,
            destroys the words wherever a copy of them is.
    Rule 2  A sealed value opens only in its own place: table, column, row and key are authenticated with it, so that
            values cannot be swapped between rows or sessions.
    Rule 3  The box's key is in no table.  Where it comes from is told in ``keys``.

A sealed value is a version byte, a nonce of 12 bytes, and the ciphertext with its tag of 16.  Text is deflated
before: a line of forty words and its times shrink by more than a third, and nobody who could choose the words can
see the size.  Nonces at random are safe for 2^32 values of one key.
Source: https://csrc.nist.gov/pubs/sp/800/38/d/final section 8.2.2.
"""

from __future__ import annotations

import secrets
import zlib
from collections import OrderedDict
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from ambientd.store import tables
from ambientd.store.refusals import SealBroken

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16

DEFLATED: Final = b"\x01"
PLAIN: Final = b"\x02"
"""Versions: the text deflated, or bytes as they are."""

KEPT: Final = 1_000
"""Data keys kept open for writing: ten times the sessions a box is made for."""

_PROOF: Final = b"the key of this box"


class Place(NamedTuple):
    """Where a sealed value stands."""

    table: str
    column: str
    row: str


class Seal:
    """The data key of one session, open."""

    def __init__(self, session_id: str, key: bytes) -> None:
        self._session_id = session_id
        self._cipher = AESGCM(key)

    def close(self, text: str, place: Place) -> bytes:
        """``text`` as it is stored at ``place``."""
        return self._close(DEFLATED, deflated(text), place)

    def close_bytes(self, content: bytes, place: Place) -> bytes:
        """``content``, such as a digest, as it is stored at ``place``."""
        return self._close(PLAIN, content, place)

    def open(self, sealed: bytes, place: Place) -> str:
        """The text that ``close`` sealed at this very place.

        Raises:
            SealBroken: it was altered, or belongs somewhere else.
        """
        return zlib.decompress(self._open(DEFLATED, sealed, place), -zlib.MAX_WBITS).decode()

    def open_bytes(self, sealed: bytes, place: Place) -> bytes:
        """The content that ``close_bytes`` sealed at this very place.

        Raises:
            SealBroken: as ``open``.
        """
        return self._open(PLAIN, sealed, place)

    def _close(self, version: bytes, content: bytes, place: Place) -> bytes:
        nonce = secrets.token_bytes(NONCE_BYTES)
        return version + nonce + self._cipher.encrypt(nonce, content, self._bound(version, place))

    def _open(self, version: bytes, sealed: bytes, place: Place) -> bytes:
        nonce, ciphertext = sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        if sealed[:1] != version or len(ciphertext) < TAG_BYTES:
            raise SealBroken(self._session_id, place.table)
        try:
            return self._cipher.decrypt(nonce, ciphertext, self._bound(version, place))
        except InvalidTag as error:
            raise SealBroken(self._session_id, place.table) from error

    def _bound(self, version: bytes, place: Place) -> bytes:
        # A session has one data key, so its id is the key's.
        return version + bound(*place, self._session_id)


class Vault:
    """The box's key, open."""

    def __init__(self, key: bytes) -> None:
        """``key``: 32 bytes."""
        self.key_id = key_id(key)
        self._cipher = AESGCM(key)
        self._open: OrderedDict[str, Seal] = OrderedDict()
        """Session -> its open data key, as the one writing connection sees it."""

    async def make(self, connection: AsyncConnection, session_id: str) -> Seal:
        """A data key for a new session, stored within the transaction that makes the session."""
        # Not kept: the transaction may yet be rolled back, and the id be given to another.
        self.forget(session_id)
        key, row = self.new_key(session_id)
        await connection.execute(insert(tables.session_keys).values(row))
        return Seal(session_id, key)

    async def seal(self, connection: AsyncConnection, session_id: str) -> Seal:
        """The data key of a stored session, within a transaction.

        Kept open for writers only: a reader may look at a moment before a purge.

        Raises:
            SealBroken: the session has no key, or another box's.
        """
        writes = connection.info.get("writes", False)
        if writes and (kept := self._open.get(session_id)) is not None:
            return kept
        found = await connection.execute(
            select(tables.session_keys.c.key_id, tables.session_keys.c.wrapped).where(
                tables.session_keys.c.session_id == session_id
            )
        )
        row = found.one_or_none()
        if row is None:
            raise SealBroken(session_id, "session_keys")
        seal = self.unwrap(session_id, row.wrapped)
        if writes:
            self._open[session_id] = seal
            if len(self._open) > KEPT:
                self._open.popitem(last=False)
        return seal

    def forget(self, session_id: str) -> None:
        """Let go of a data key that is to be destroyed, or whose session has ended."""
        self._open.pop(session_id, None)

    def new_key(self, session_id: str) -> tuple[bytes, dict[str, object]]:
        """A data key at random, and its row in ``session_keys``."""
        key = secrets.token_bytes(KEY_BYTES)
        return key, {"session_id": session_id, "key_id": self.key_id, "wrapped": self.wrap(session_id, key)}

    def wrap(self, session_id: str, key: bytes) -> bytes:
        """The column ``wrapped`` of ``session_keys``."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return PLAIN + nonce + self._cipher.encrypt(nonce, key, self._wrapped_for(session_id))

    def unwrap(self, session_id: str, wrapped: bytes) -> Seal:
        """The data key in the column ``wrapped``; touches nothing but its arguments, so any thread may.

        Raises:
            SealBroken: it is not of this session, or not of this box's key.
        """
        return Seal(session_id, self.unwrapped(session_id, wrapped))

    def unwrapped(self, session_id: str, wrapped: bytes) -> bytes:
        """The bytes of a data key, for whoever wraps it anew; raises as ``unwrap``."""
        try:
            return self._cipher.decrypt(
                wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :], self._wrapped_for(session_id)
            )
        except (InvalidTag, ValueError) as error:
            raise SealBroken(session_id, "session_keys") from error

    def close_secret(self, name: str, content: bytes) -> bytes:
        """Something of the box's own, which belongs to no session, as it is kept."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return PLAIN + nonce + self._cipher.encrypt(nonce, content, self._secret(name))

    def open_secret(self, name: str, sealed: bytes) -> bytes:
        """What ``close_secret`` sealed under this name with this key.

        Raises:
            SealBroken: it was altered, or belongs to another name or box.
        """
        try:
            return self._cipher.decrypt(
                sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :], self._secret(name)
            )
        except (InvalidTag, ValueError) as error:
            raise SealBroken(name, "box_facts") from error

    def proof(self) -> bytes:
        """A known phrase sealed, by which the right key is told from any other."""
        nonce = secrets.token_bytes(NONCE_BYTES)
        return PLAIN + nonce + self._cipher.encrypt(nonce, _PROOF, bound("box_keys", "proof", self.key_id))

    def proves(self, proof: bytes) -> bool:
        """Whether this is the key that made ``proof``."""
        nonce, ciphertext = proof[1 : 1 + NONCE_BYTES], proof[1 + NONCE_BYTES :]
        try:
            opened = self._cipher.decrypt(nonce, ciphertext, bound("box_keys", "proof", self.key_id))
        except (InvalidTag, ValueError):
            return False
        return opened == _PROOF

    def _secret(self, name: str) -> bytes:
        return PLAIN + bound("box_facts", "value", name, self.key_id)

    def _wrapped_for(self, session_id: str) -> bytes:
        return PLAIN + bound("session_keys", "wrapped", session_id, self.key_id)


def vault_of(connection: AsyncConnection) -> Vault:
    """The vault that guards the file behind a connection of ``Database``."""
    vault = connection.info["vault"]
    assert isinstance(vault, Vault)  # noqa: S101 - Database puts it there
    return vault


async def seal_of(connection: AsyncConnection, session_id: str) -> Seal:
    """The data key of a stored session, within a transaction of ``Database``; raises as ``Vault.seal``."""
    return await vault_of(connection).seal(connection, session_id)


def deflated(text: str) -> bytes:
    """Text as it is before it is encrypted."""
    deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return deflate.compress(text.encode()) + deflate.flush()


def key_id(key: bytes) -> str:
    """The name of a box key: 16 hexadecimal digits that tell nothing of it."""
    derive = HKDF(algorithm=SHA256(), length=8, salt=None, info=b"ambientd box key id")
    return derive.derive(key).hex()


def bound(*names: str) -> bytes:
    """Names as associated data; each with its length, so that no two lists of names give the same bytes."""
    return b"".join(len(raw := name.encode()).to_bytes(4) + raw for name in names)
