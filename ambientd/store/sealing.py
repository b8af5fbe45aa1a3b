"""Whether a file that was sealed still says what it said before."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from itertools import zip_longest
from pathlib import Path
from typing import Final

from ambientd.errors import StoreUnavailable
from ambientd.store.faults import unavailable
from ambientd.store.vault import Place, Seal, Vault

_TEXTS: Final = "SELECT session_id, full_text FROM realtime_sessions ORDER BY session_id"
_CLEAR_LINES: Final = (
    "SELECT session_id, chunk_index, segments || char(10) || text FROM realtime_transcript_chunks "
    "ORDER BY session_id, chunk_index"
)
_SEALED_LINES: Final = (
    "SELECT session_id, chunk_index, words FROM realtime_transcript_chunks ORDER BY session_id, chunk_index"
)
_KEYS: Final = "SELECT session_id, wrapped FROM session_keys"

Words = Iterator[tuple[str, str | None]]
"""Where, and what."""


def same_words(clear: Path, sealed: Path, vault: Vault) -> bool:
    """Whether every word in a file of revision 0001 opens from the sealed one, in its place, and none was added.

    Raises:
        StoreUnavailable: one of the files cannot be read.
    """
    try:
        with closing(_open(clear)) as before, closing(_open(sealed)) as after:
            return all(one == other for one, other in zip_longest(_clear(before), _opened(after, vault)))
    except sqlite3.Error as error:
        raise unavailable("compare", sealed, error) from error
    except StoreUnavailable:
        return False


def _open(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)


def _clear(file: sqlite3.Connection) -> Words:
    yield from file.execute(_TEXTS)
    for session_id, index, words in file.execute(_CLEAR_LINES):
        yield f"{session_id}/{index}", words


def _opened(file: sqlite3.Connection, vault: Vault) -> Words:
    seals: dict[str, Seal] = {
        session_id: vault.unwrap(session_id, wrapped) for session_id, wrapped in file.execute(_KEYS)
    }
    for session_id, text in file.execute(_TEXTS):
        place = Place("realtime_sessions", "full_text", session_id)
        yield session_id, None if text is None else seals[session_id].open(text, place)
    for session_id, index, words in file.execute(_SEALED_LINES):
        row = f"{session_id}/{index}"
        yield row, seals[session_id].open(words, Place("realtime_transcript_chunks", "words", row))
