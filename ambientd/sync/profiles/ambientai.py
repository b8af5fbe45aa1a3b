"""The central question-and-answer server: a text makes an upload, the upload gets answers some time later.

Two of its habits shape this module.  A text sent twice makes two uploads, so after a call of unknown outcome its list
of uploads is searched.  And a bad or expired token is not refused but taken for none, so that it is renewed in time.
"""

from __future__ import annotations

import base64
import hashlib
import json
import time
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, StringConstraints, ValidationError

from ambientd.core.answers import Answer, Question
from ambientd.core.delivery import PART_CHARACTERS, Part
from ambientd.errors import CentralRejected, CentralUnavailable, OperatorError
from ambientd.store.parcels import Parcel
from ambientd.sync import secrets
from ambientd.sync.central import Central, Reply, nonsense
from ambientd.sync.profiles import Claimed, Receipt
from ambientd.sync.questions import own_questions
from ambientd.sync.route import Route

PAGE: Final = 100
"""Uploads in a page of the list."""

PAGES: Final = 2_000
"""Pages looked through at most; a server that always has one more is not searched for ever."""

TOKEN_SECONDS: Final = 1_800.0
"""How long a token is good for whose end cannot be read.  Source: the central server's default of 30 minutes."""

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_-]{1,128}$")]
"""Ids become part of an address."""

M = TypeVar("M", bound=BaseModel)


class _Token(BaseModel):
    access_token: Annotated[str, StringConstraints(min_length=1, max_length=8_192)]


class _Taken(BaseModel):
    upload_id: Id
    task_id: Id | None = None


class _Item(BaseModel):
    id: Id
    file_size: int
    created_at: datetime
    status: str = ""
    qa_extraction_task_id: str | None = None


class _Page(BaseModel):
    items: list[_Item]
    pages: int


class _Transcription(BaseModel):
    full_text: str


class _Result(BaseModel):
    question_id: str
    question_text: str
    category: str
    answer_text: str | None = None
    confidence_score: float | None = None
    context_snippet: str | None = None
    is_confident: bool = False
    is_manual_review_required: bool = True


class _Detail(BaseModel):
    upload: _Item
    transcription: _Transcription | None = None
    qa_results: list[_Result] = []
    score: Any = None


class _Task(BaseModel):
    status: str


class _Question(BaseModel):
    id: str
    question: str
    category: str


class _Questions(BaseModel):
    questions: list[_Question]


class AmbientAI:
    """One centre of this kind."""

    most = PART_CHARACTERS
    repeatable = False
    answers = True

    def __init__(self, central: Central, route: Route) -> None:
        self._central = central
        self._route = route
        self._own = own_questions(route.questions) if route.questions else []
        self._token = ""
        self._renew_at = 0.0

    async def push(self, parcel: Parcel, part: Part) -> Receipt:
        """Have a text processed: this makes an upload each time."""
        questions = [
            {"id": each.id, "question": each.question, "category": each.category} for each in self._own
        ]
        body = json.dumps({"text": parcel.words(part), "custom_questions": questions or None}).encode()
        headers = {
            "Content-Type": "application/json",
            # For a server that honours it; the one we know does not read it.
            "Idempotency-Key": f'"{parcel.upload.id}-{part.number}"',
        }
        reply = await self._ask("POST", "/api/v1/text-processing", body=body, headers=headers)
        taken = _read(_Taken, reply)
        return Receipt(taken.upload_id, taken.task_id)

    async def look(
        self, parcel: Parcel, part: Part, since: datetime | None, claimed: Claimed
    ) -> Receipt | None:
        """Search the list, newest first, for an upload of the part's size that holds its text."""
        wanted = hashlib.sha256(parcel.words(part).encode()).digest()
        unread = False
        for number in range(1, PAGES + 1):
            page = _read(
                _Page,
                await self._ask("GET", "/api/v1/uploads", query={"page": str(number), "size": str(PAGE)}),
            )
            sized = [item for item in page.items if item.file_size == part.size]
            others = await claimed([item.id for item in sized])
            for item in sized:
                if item.id in others:
                    continue
                held = await self._digest(item)
                if held == wanted:
                    return Receipt(item.id, item.qa_extraction_task_id)
                unread = unread or (held is None and not _dead(item))
            older = since is not None and any(_aware(item.created_at) < since for item in page.items)
            if older or number >= page.pages or not page.items:
                break
        if unread:
            raise CentralUnavailable(
                "an upload that may be this one has no text at the central server yet.", certain=False
            )
        return None

    async def answered(self, part: Part) -> list[Answer] | None:
        """The results of a part's upload; all of them appear at once."""
        if part.upload_id is None:
            return None
        detail = await self._detail(part.upload_id)
        if detail.qa_results or (detail.upload.status == "completed" and detail.score is not None):
            # A task that was repeated may have stored its results twice: the last of a question counts.
            latest = {result.question_id: result for result in detail.qa_results}
            return [_answer(result) for result in latest.values()]
        if detail.upload.status == "failed" or await self._failed(part.task_id):
            raise CentralRejected("the central server could not work out answers.")
        return None

    async def questions(self) -> list[Question]:
        """The predefined questions, then the clinic's own."""
        found = _read(_Questions, await self._ask("GET", "/api/v1/questions"))
        predefined = [Question(each.id, each.question, each.category) for each in found.questions]
        return [*predefined, *self._own]

    async def _digest(self, item: _Item) -> bytes | None:
        """SHA-256 of the text that an upload holds; ``None`` while it holds none."""
        try:
            held = (await self._detail(item.id)).transcription
        except CentralRejected:
            return b""  # deleted between the list and now: nobody holds our text there
        return None if held is None else hashlib.sha256(held.full_text.encode("utf-8", "replace")).digest()

    async def _detail(self, upload_id: str) -> _Detail:
        return _read(_Detail, await self._ask("GET", f"/api/v1/uploads/{upload_id}"))

    async def _failed(self, task_id: str | None) -> bool:
        if task_id is None:
            return False
        try:
            reply = await self._ask("GET", f"/api/v1/tasks/{task_id}")
        except CentralUnavailable as error:
            if error.status is None:
                raise
            return False  # an unknown task is a 500 there; results are forgotten after a day
        return _read(_Task, reply).status in {"failed", "cancelled"}

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        query: dict[str, str] | None = None,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> Reply:
        """One call, logged in; after a 401 or 403 once more with a new token."""
        for again in (False, True):
            token = await self._logged_in(anew=again)
            asked = {**(query or {}), **({"access_token": token} if token else {})}
            reply = await self._central.ask(method, path, query=asked, body=body, headers=headers)
            if reply.status not in {401, 403}:
                return reply
        raise _refused(reply.status)

    async def _logged_in(self, *, anew: bool) -> str:
        """A token that is still good, or none where none is wanted.

        Whatever goes wrong here concerns every row, and has sent none.
        """
        if not self._route.email:
            return ""
        if not anew and _clock() < self._renew_at:
            return self._token
        try:
            given = {"email": self._route.email, "password": secrets.read(self._route.secret)}
            reply = await self._central.ask(
                "POST",
                "/api/v1/auth/login",
                body=json.dumps(given).encode(),
                headers={"Content-Type": "application/json"},
            )
            if reply.status in {401, 403}:
                raise _refused(reply.status)
            self._token = _read(_Token, reply).access_token
        except CentralUnavailable as error:
            error.certain, error.everyone = True, True
            raise
        except (CentralRejected, OperatorError) as error:
            raise CentralUnavailable(
                f"logging in at the central server failed: {error.message}",
                certain=True,
                everyone=True,
                hint=error.hint,
            ) from error
        life = _lifetime(self._token, reply.date or datetime.now(UTC))
        # A Date header is whole seconds, and a token is to outlive the call it goes with.
        self._renew_at = _clock() + max(0.0, min(0.8 * life, life - 1.5))
        return self._token


def profile(central: Central, route: Route) -> AmbientAI:
    """The profile for a centre."""
    return AmbientAI(central, route)


def _read(model: type[M], reply: Reply) -> M:
    try:
        return model.model_validate(reply.document())
    except ValidationError:
        raise nonsense() from None  # pydantic's error quotes what it could not read


def _refused(status: int) -> CentralUnavailable:
    # Not a matter of one row: parking them all would make a person release them all.
    return CentralUnavailable(
        f"the central server refuses the log-in (status {status}).",
        certain=True,
        everyone=True,
        status=status,
        hint="Check sync.email and the secret named in sync.secret.",
    )


def _dead(item: _Item) -> bool:
    """Whether an upload without text will never get one: its work failed, or was never begun.

    The real server stores the upload, then starts the work, then notes the work's id; if starting fails it answers
    500 and the upload stays as it is.  The caller waits for an attempt to settle before it believes this.
    """
    unstarted = "qa_extraction_task_id" in item.model_fields_set and item.qa_extraction_task_id is None
    return unstarted or item.status == "failed"


def _aware(moment: datetime) -> datetime:
    """The server writes times without a zone; they are UTC, or nearly: see the margin in the uploader."""
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _answer(result: _Result) -> Answer:
    return Answer(
        question_id=result.question_id,
        question=result.question_text,
        category=result.category,
        answer=result.answer_text or None,
        confidence=result.confidence_score or 0.0,
        snippet=result.context_snippet,
        confident=result.is_confident,
        review=result.is_manual_review_required,
    )


def _lifetime(token: str, now: datetime) -> float:
    """Seconds until a JSON web token ends, unverified: it is the server's to verify."""
    try:
        body = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        left = float(claims["exp"]) - now.timestamp()
    except (IndexError, ValueError, KeyError, TypeError):
        return TOKEN_SECONDS
    return min(max(left, 0.0), 86_400.0)


def _clock() -> float:
    """Seconds that also pass while the box sleeps, unlike those of the monotonic clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)
