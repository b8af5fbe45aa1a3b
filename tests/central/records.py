"""What the centre knows, in a SQLite file."""

from __future__ import annotations

import json
import uuid
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import aiosqlite

SCHEMA = """
CREATE TABLE IF NOT EXISTS uploads (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, user TEXT, original_filename TEXT NOT NULL,
    file_size INTEGER NOT NULL, content_type TEXT NOT NULL, status TEXT NOT NULL, qa_extraction_task_id TEXT,
    error_message TEXT, created_at TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS transcriptions (
    upload_id TEXT PRIMARY KEY, full_text TEXT NOT NULL, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS qa_results (number INTEGER PRIMARY KEY, upload_id TEXT NOT NULL, result TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS scores (upload_id TEXT PRIMARY KEY, score TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY, id TEXT UNIQUE NOT NULL, kind TEXT NOT NULL, upload_id TEXT NOT NULL,
    work TEXT NOT NULL, status TEXT NOT NULL, result TEXT, error TEXT);
CREATE TABLE IF NOT EXISTS transcripts (
    box_id TEXT NOT NULL, uuid TEXT NOT NULL, digest TEXT NOT NULL, body BLOB NOT NULL, content_type TEXT NOT NULL,
    received_at TEXT NOT NULL, PRIMARY KEY (box_id, uuid));
"""

UPLOAD = (
    "id",
    "original_filename",
    "file_size",
    "content_type",
    "status",
    "qa_extraction_task_id",
    "error_message",
    "created_at",
    "updated_at",
)


def now() -> str:
    return datetime.now(UTC).isoformat()


class Records:
    """One connection: its statements queue, so that each method is one step to all others."""

    def __init__(self, connection: aiosqlite.Connection) -> None:
        self._db = connection

    @classmethod
    async def open(cls, path: Path) -> Self:
        connection = await aiosqlite.connect(path, isolation_level=None)
        connection.row_factory = aiosqlite.Row
        await connection.execute("PRAGMA journal_mode = WAL")
        await connection.execute("PRAGMA synchronous = NORMAL")
        await connection.executescript(SCHEMA)
        return cls(connection)

    async def close(self) -> None:
        await self._db.close()

    async def _all(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        return [dict(row) for row in await self._db.execute_fetchall(sql, values)]

    async def _one(self, sql: str, *values: Any) -> dict[str, Any] | None:
        return next(iter(await self._all(sql, *values)), None)

    # -- uploads

    async def add_upload(self, text: str, user: str | None) -> str:
        upload_id = str(uuid.uuid4())
        await self._db.execute(
            "INSERT INTO uploads (id, user, original_filename, file_size, content_type, status, created_at, updated_at)"
            " VALUES (?, ?, 'text_input.txt', ?, 'text/plain', 'pending', ?, ?)",
            (upload_id, user, len(text.encode()), now(), now()),
        )
        return upload_id

    async def mark_upload(self, upload_id: str, status: str, error: str | None = None) -> None:
        await self._db.execute(
            "UPDATE uploads SET status = ?, error_message = ?, updated_at = ? WHERE id = ?",
            (status, error, now(), upload_id),
        )

    async def page(self, page: int, size: int, status: str | None) -> dict[str, Any]:
        where, values = ("WHERE status = ?", [status]) if status else ("", [])
        total = (await self._all(f"SELECT count(*) AS n FROM uploads {where}", *values))[0]["n"]  # noqa: S608
        items = await self._all(
            f"SELECT {', '.join(UPLOAD)} FROM uploads {where} ORDER BY created_at DESC, number DESC"  # noqa: S608
            " LIMIT ? OFFSET ?",
            *values,
            size,
            (page - 1) * size,
        )
        return {
            "items": items,
            "total": total,
            "page": page,
            "size": size,
            "pages": (total + size - 1) // size,
        }

    async def upload(self, upload_id: str) -> dict[str, Any] | None:
        found = await self._one(f"SELECT {', '.join(UPLOAD)} FROM uploads WHERE id = ?", upload_id)  # noqa: S608
        if found is None:
            return None
        transcription = await self._one("SELECT * FROM transcriptions WHERE upload_id = ?", upload_id)
        if transcription is not None:
            transcription |= {"segments": [], "language": None, "model_used": "text_input"}
        results = await self._all("SELECT * FROM qa_results WHERE upload_id = ? ORDER BY number", upload_id)
        score = await self._one("SELECT score FROM scores WHERE upload_id = ?", upload_id)
        return {
            "upload": found,
            "transcription": transcription,
            "qa_results": [json.loads(row["result"]) for row in results],
            "score": json.loads(score["score"]) if score else None,
            "processing_jobs": [],
        }

    async def store_text(self, upload_id: str, text: str) -> None:
        await self._db.execute(
            "INSERT OR IGNORE INTO transcriptions VALUES (?, ?, ?)", (upload_id, text, now())
        )

    async def store_answers(self, upload_id: str, answers: list[dict[str, object]]) -> None:
        await self._db.executemany(
            "INSERT INTO qa_results (upload_id, result) VALUES (?, ?)",
            [
                (upload_id, json.dumps({"id": str(uuid.uuid4()), "upload_id": upload_id, **each}))
                for each in answers
            ],
        )

    async def store_score(self, upload_id: str, score: dict[str, Any]) -> None:
        await self._db.execute("INSERT OR REPLACE INTO scores VALUES (?, ?)", (upload_id, json.dumps(score)))

    # -- tasks

    async def add_task(self, kind: str, upload_id: str, work: dict[str, Any]) -> str:
        task_id = str(uuid.uuid4())
        await self._db.execute(
            "INSERT INTO tasks (id, kind, upload_id, work, status) VALUES (?, ?, ?, ?, 'pending')",
            (task_id, kind, upload_id, json.dumps(work)),
        )
        await self._db.execute(
            "UPDATE uploads SET qa_extraction_task_id = ? WHERE id = ? AND qa_extraction_task_id IS NULL",
            (task_id, upload_id),
        )
        return task_id

    async def next_task(self) -> dict[str, Any] | None:
        found = await self._one(
            "SELECT * FROM tasks WHERE status IN ('pending', 'running') ORDER BY number LIMIT 1"
        )
        return None if found is None else found | {"work": json.loads(found["work"])}

    async def end_task(
        self, task_id: str, status: str, result: object = None, error: str | None = None
    ) -> None:
        await self._db.execute(
            "UPDATE tasks SET status = ?, result = ?, error = ? WHERE id = ?",
            (status, json.dumps(result), error, task_id),
        )

    async def task(self, task_id: str) -> dict[str, Any] | None:
        found = await self._one("SELECT status, result, error FROM tasks WHERE id = ?", task_id)
        if found is None:
            return None
        return found | {"result": json.loads(found["result"]) if found["result"] else None}

    # -- transcripts of the profile whose calls can be repeated

    async def put(self, box_id: str, name: str, digest: str, body: bytes, content_type: str) -> str | None:
        """The digest of what was there before; ``None`` if this is new."""
        held = await self._one("SELECT digest FROM transcripts WHERE box_id = ? AND uuid = ?", box_id, name)
        if held is not None:
            return str(held["digest"])
        await self._db.execute(
            "INSERT INTO transcripts VALUES (?, ?, ?, ?, ?, ?)",
            (box_id, name, digest, body, content_type, now()),
        )
        return None

    # -- for those who check

    async def texts(self) -> Counter[str]:
        """How often each text was stored by text-processing."""
        return Counter(row["full_text"] for row in await self._all("SELECT full_text FROM transcriptions"))

    async def bodies(self) -> dict[str, bytes]:
        """What was put, by its name."""
        return {row["uuid"]: row["body"] for row in await self._all("SELECT uuid, body FROM transcripts")}

    async def counts(self) -> dict[str, int]:
        """How many uploads there are; of them without a user; without a text; and tasks still to be done."""
        found = await self._all(
            "SELECT (SELECT count(*) FROM uploads) AS uploads,"
            " (SELECT count(*) FROM uploads WHERE user IS NULL) AS anonymous,"
            " (SELECT count(*) FROM uploads WHERE id NOT IN (SELECT upload_id FROM transcriptions)) AS textless,"
            " (SELECT count(*) FROM tasks WHERE status IN ('pending', 'running')) AS waiting,"
            " (SELECT count(*) FROM transcripts) AS transcripts"
        )
        return found[0]
