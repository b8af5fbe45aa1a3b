"""Passwords and PINs: hashed slowly, few at a time, beside the event loop and behind the engine.

    Rule 1  A wrong password, and a name that nobody has, take the time of a right one.
    Rule 2  One thread hashes, behind the engine, and few may wait for it: however many try to log in, a conversation
            that is under way keeps the processor, and the memory taken is bounded.

The cost is that of a server for few people: 32 MiB and some 0.2 s a hash.
Source: https://cheatsheetseries.owasp.org/cheatsheets/Password_Storage_Cheat_Sheet.html, scrypt with N=2^15, r=8, p=3.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final

from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from ambientd.errors import ClientError

LOG2_N: Final = 15
R: Final = 8
P: Final = 3
SALT_BYTES: Final = 16
HASH_BYTES: Final = 32

WAITING: Final = 8
"""Hashes that may be asked for at once: the last waits some two seconds."""

NICE: Final = 10


class Passwords:
    """The one who hashes.  Use :func:`open_passwords`."""

    def __init__(self, thread: ThreadPoolExecutor, *, log2_n: int = LOG2_N) -> None:
        """``log2_n``: the cost, for tests that hash often."""
        self._thread = thread
        self._log2_n = log2_n
        self._asked = 0
        self._nobodys = _written(secrets.token_bytes(SALT_BYTES), secrets.token_bytes(HASH_BYTES), log2_n)

    async def make(self, password: str) -> str:
        """What is kept of a password.

        Raises:
            ClientError: too many ask at once.
        """
        salt = secrets.token_bytes(SALT_BYTES)
        made = await self._turn(password, salt, self._log2_n)
        return _written(salt, made, self._log2_n)

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether a password is the one of which ``kept`` was made; ``None``, nobody's, takes as long.

        Raises:
            ClientError: too many ask at once.
        """
        salt, known, log2_n = _read(kept or self._nobodys)
        made = await self._turn(password, salt, log2_n)
        return secrets.compare_digest(made, known) and kept is not None

    async def _turn(self, password: str, salt: bytes, log2_n: int) -> bytes:
        if self._asked >= WAITING:
            raise ClientError(
                "too_many_requests",
                "too many log in at this moment",
                hint="Try again in a few seconds.",
                retry_after=5,
            )
        self._asked += 1
        try:
            return await self._hash(password, salt, log2_n)
        finally:
            self._asked -= 1

    async def _hash(self, password: str, salt: bytes, log2_n: int) -> bytes:
        return await asyncio.get_running_loop().run_in_executor(self._thread, _scrypt, password, salt, log2_n)


@contextmanager
def open_passwords(*, log2_n: int = LOG2_N) -> Iterator[Passwords]:
    """The one who hashes, with a thread of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="passwords", initializer=_stand_back) as thread:
        yield Passwords(thread, log2_n=log2_n)


def _stand_back() -> None:
    # On Linux a priority is a thread's own.  Source: setpriority(2), "C library/kernel differences".
    with suppress(PermissionError):  # the service's sandbox refuses it; a log-in then competes with the rooms
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), NICE)


def _scrypt(password: str, salt: bytes, log2_n: int) -> bytes:
    kdf = Scrypt(salt=salt, length=HASH_BYTES, n=1 << log2_n, r=R, p=P)
    return kdf.derive(password.encode("utf-8", "surrogatepass"))


def _written(salt: bytes, made: bytes, log2_n: int) -> str:
    texts = (base64.b64encode(part).decode() for part in (salt, made))
    return f"scrypt${log2_n}${R}${P}$" + "$".join(texts)


def _read(kept: str) -> tuple[bytes, bytes, int]:
    _, log2_n, _, _, salt, made = kept.split("$")
    return base64.b64decode(salt), base64.b64decode(made), int(log2_n)
