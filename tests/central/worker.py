"""Celery's role: what was accepted is worked off in order, some time later."""

from __future__ import annotations

import asyncio
from typing import Any

from central.questions import PREDEFINED, answer, custom
from central.records import Records


class Worker:
    """``delay``: seconds that each task waits before it is done, in which nothing of it can be seen."""

    def __init__(self, records: Records, delay: float) -> None:
        self.delay = delay
        self._records = records
        self._wake = asyncio.Event()

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        while True:
            task = await self._records.next_task()
            if task is None:
                await self._wake.wait()
                self._wake.clear()
                continue
            await asyncio.sleep(self.delay)
            await self._do(task)

    async def idle(self) -> None:
        """Returns once nothing is left to do."""
        while await self._records.next_task() is not None:
            await asyncio.sleep(0.01)

    async def _do(self, task: dict[str, Any]) -> None:
        upload_id, work = task["upload_id"], task["work"]
        result: object
        match task["kind"]:
            case "text":
                if "\0" in work["text"]:  # PostgreSQL cannot store it
                    await self._records.mark_upload(upload_id, "failed", "A string cannot contain NUL (0x00)")
                    await self._records.end_task(
                        task["id"], "failed", error="A string cannot contain NUL (0x00)"
                    )
                    return
                await self._records.store_text(upload_id, work["text"])
                await self._records.mark_upload(upload_id, "processing")
                extraction = await self._records.add_task("answers", upload_id, work)
                scoring = await self._records.add_task("score", upload_id, {})
                result = {
                    "status": "started",
                    "message": "Text processing tasks initiated",
                    "tasks": {"qa_extraction": extraction, "scoring": scoring, "upload_id": upload_id},
                }
            case "answers":
                questions = [*PREDEFINED, *map(custom, work["custom_questions"] or [])]
                answers = [answer(question, work["text"]) for question in questions]
                await self._records.store_answers(upload_id, answers)
                result = {"answers_count": len(answers)}
            case _:
                stored = await self._records.upload(upload_id)
                results = stored["qa_results"] if stored else []
                answered = sum(each["answer_text"] is not None for each in results)
                result = {"questions_answered": answered, "questions_total": len(results)}
                await self._records.store_score(upload_id, result)
                await self._records.mark_upload(upload_id, "completed")
        await self._records.end_task(task["id"], "completed", result)
