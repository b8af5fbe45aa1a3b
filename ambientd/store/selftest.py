"""At each start: proof that what is stored cannot be read without the key, and that what is deleted is gone.

A made-up session with a made-up word goes through the same doors as a real one.  Then the bytes on the disk are
searched: first the write-ahead log, where every page goes before it goes anywhere else, then the pages it names.
"""

from __future__ import annotations

import secrets
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import DBAPIError

from ambientd.core.record import Details, SessionState
from ambientd.core.transcript import Line, Segment, Word
from ambientd.errors import StoreUnavailable
from ambientd.store import pragmas, tables
from ambientd.store.faults import unavailable
from ambientd.store.migrate import empty_log, plain_engine
from ambientd.store.refusals import SealBroken
from ambientd.store.rows import details_row, full_text_row, line_of, line_row, moment_text
from ambientd.store.vault import KEY_BYTES, Seal, Vault, deflated

_ID: Final = "ambientd/self-test"
"""No client can ask for a session of that id: it has a stroke in it."""

_LOG_HEADER: Final = 32
_FRAME_HEADER: Final = 24
"""Bytes.  Source: https://sqlite.org/fileformat2.html section 4.1."""


def self_test(path: Path, vault: Vault) -> None:
    """Seal a word, look for it on the disk, destroy it, look for what is left.

    Raises:
        StoreUnavailable: something could be read that must not be, or the file cannot be written.
    """
    canary = secrets.token_hex(16)
    engine = plain_engine(path, pragmas.WRITER)
    log = path.with_name(path.name + "-wal")
    try:
        with closing(engine.connect()) as kept_open:  # or the log would vanish with each connection
            with kept_open.begin():
                sealed = _store(kept_open, vault, canary)
            written = log.read_bytes()
            _require(sealed in written, path, "what was stored did not reach the disk")
            _require(not any(form in written for form in _clear(canary)), path, "words are readable")
            with kept_open.begin():
                _require_opens(kept_open, vault, canary, path)
                _destroy(kept_open)
            pages = _pages(log.read_bytes())
        empty_log(engine)
        with path.open("rb") as file:
            for size, number in pages:
                file.seek((number - 1) * size)
                page = file.read(size)
                _require(not any(form in page for form in _clear(canary)), path, "words are readable")
                _require(sealed not in page, path, "what was deleted is still there")
    except DBAPIError as error:
        raise unavailable("test", path, error) from error
    except OSError as error:
        raise unavailable("test", path, error) from error
    finally:
        engine.dispose()


def _line(canary: str) -> Line:
    word = Word(canary, 0, 16_000, 1.0)
    return Line(0, canary, 0, 16_000, (Segment(canary, 0, 16_000, (word,)),), 1.0, "en", "none", 0.0)


def _clear(canary: str) -> list[bytes]:
    """The word as it stands in a file that is not sealed, deflated or not."""
    return [canary.encode(), deflated(canary)]


def _store(connection: Connection, vault: Vault, canary: str) -> bytes:
    """Gives one of the sealed values, to see that the right place is searched."""
    now = moment_text(datetime.now(UTC))
    _destroy(connection)  # what a crash in the middle of the last test left
    key, row = vault.new_key(_ID)
    seal = Seal(_ID, key)
    text = full_text_row(seal, _ID, canary)
    connection.execute(
        insert(tables.sessions).values(
            session_id=_ID,
            state=SessionState.INTERRUPTED,
            end_reason="crash",
            connected_at=now,
            ended_at=now,
            client="",
            language="en",
            model="",
            sample_rate=16_000,
            ephemeral=1,
            **text,
            **details_row(seal, _ID, Details(canary, canary)),
        )
    )
    connection.execute(insert(tables.session_keys).values(row))
    connection.execute(insert(tables.chunks).values(line_row(seal, _ID, _line(canary))))
    return bytes(text["full_text"])


def _require_opens(connection: Connection, vault: Vault, canary: str, path: Path) -> None:
    """With the right key, and with no other."""
    row = connection.execute(select(tables.chunks).where(tables.chunks.c.session_id == _ID)).mappings().one()
    wrapped = connection.execute(
        select(tables.session_keys.c.wrapped).where(tables.session_keys.c.session_id == _ID)
    ).scalar_one()
    _require(line_of(vault.unwrap(_ID, wrapped), row).text == canary, path, "what was stored does not open")
    try:
        Vault(secrets.token_bytes(KEY_BYTES)).unwrap(_ID, wrapped)
    except SealBroken:
        return
    _require(False, path, "any key opens what is stored")


def _destroy(connection: Connection) -> None:
    for table in (tables.session_keys, tables.sessions):
        connection.execute(delete(table).where(table.c.session_id == _ID))


def _pages(log: bytes) -> set[tuple[int, int]]:
    """Size and number of each page in a write-ahead log."""
    size = int.from_bytes(log[8:12])
    frames = range(_LOG_HEADER, len(log) - _FRAME_HEADER - size + 1, _FRAME_HEADER + size)
    return {(size, int.from_bytes(log[frame : frame + 4])) for frame in frames}


def _require(holds: bool, path: Path, otherwise: str) -> None:  # noqa: FBT001 - a condition
    if not holds:
        raise StoreUnavailable(
            f"test {path}: {otherwise}.",
            hint="Nothing more is recorded, for it would not be private.  Report this with the version.",
        )
