"""Whose turn it is to feed a session: one connection at a time.

A client whose network broke comes back before the box has noticed that the old connection is dead.  With the session's
token it takes over at once.  What the old connection still had in hand must then not be taken: the client has been told
how far the session has heard it, and sends from there again.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Final

from ambientd.core.protocol import CLOSE_POLICY
from ambientd.errors import ClientError

TOKEN_BYTES: Final = 24
"""Of chance in a token: nobody guesses it."""


def taken_over() -> ClientError:
    """What a connection is told that has lost its session to another."""
    return ClientError(
        "taken_over",
        "another connection goes on with this session",
        hint="If it is not yours, come back with the session's resume token.",
        close_code=CLOSE_POLICY,
    )


class Hold:
    """One connection's right to feed a session."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        """Set once another connection has it."""

    def check(self) -> None:
        """Raises unless this connection still has the session.

        Raises:
            ClientError: another one has.
        """
        if self.lost.is_set():
            raise taken_over()


class Holder:
    """Who has the session now, and what a newcomer must know to take it."""

    def __init__(self) -> None:
        self.token = secrets.token_urlsafe(TOKEN_BYTES)
        self._current: Hold | None = None

    def knows(self, token: str) -> bool:
        """Whether ``token`` is this session's; takes the same time for any that is not."""
        return secrets.compare_digest(token.encode(), self.token.encode())

    def take(self) -> Hold:
        """A new hold; the one before loses the session in this instant."""
        if self._current is not None:
            self._current.lost.set()
        self._current = Hold()
        return self._current
