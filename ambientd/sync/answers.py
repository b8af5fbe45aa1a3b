"""Answers, asked for until they are there: more and more seldom, and not for ever."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from ambientd.core.delivery import Upload
from ambientd.errors import AmbientError, CentralRejected, CentralUnavailable
from ambientd.store.answers import Answers
from ambientd.store.database import Database
from ambientd.store.refusals import SealBroken
from ambientd.sync.breaker import Breaker
from ambientd.sync.profiles import Profile
from ambientd.sync.route import Route

logger = logging.getLogger(__name__)


class Listener:
    """Asks one centre for its answers; one round at a time."""

    def __init__(self, database: Database, profile: Profile, route: Route, breaker: Breaker) -> None:
        self._answers = Answers(database)
        self._profile = profile
        self._route = route
        self._breaker = breaker
        self._knows_questions = False

    async def listen(self) -> None:
        """Ask for all answers that are due.

        Raises:
            StoreUnavailable: they could not be kept.
        """
        if not self._profile.answers:
            return
        for upload in await self._answers.due(_now()):
            if self._breaker.remaining:
                return
            if await self._listened(upload):
                return

    async def _listened(self, upload: Upload) -> bool:
        """Ask about one session; returns whether the round is to end."""
        try:
            await self._learn_questions()
            await self._ask(upload)
        except CentralUnavailable as error:
            await self._answers.later(upload.id, _now() + self._patience(upload))
            return self._breaker.fail(upload.id, everyone=error.everyone, retry_after=error.retry_after)
        except (CentralRejected, SealBroken) as error:
            await self._answers.give_up(upload.id)
            logger.warning("no answers will come", extra={"session": upload.session_id, "error": error})
        except AmbientError:
            raise
        # The boundary of a row: a defect that one of them brings out must not keep the others here for ever.
        except Exception as error:
            logger.exception("answers failed inside the box", extra={"error": type(error).__name__})
            await self._answers.later(upload.id, _now() + timedelta(seconds=self._route.backoff.most))
        return False

    async def _ask(self, upload: Upload) -> None:
        found = []
        for part in upload.parts:
            answers = await self._profile.answered(part)
            if answers is None:
                if _age(upload) > self._route.answers_for:
                    raise CentralRejected("the central server has had no answers for too long.")
                await self._answers.later(upload.id, _now() + self._patience(upload))
                return
            found += [(part.number, answer) for answer in answers]
        await self._answers.keep(upload, found, _now())
        logger.info("answers received", extra={"session": upload.session_id, "count": len(found)})

    async def _learn_questions(self) -> None:
        if self._knows_questions:
            return
        await self._answers.learn(await self._profile.questions())
        self._knows_questions = True

    def _patience(self, upload: Upload) -> timedelta:
        """Half of what has been waited for already: an answer of a minute is asked for every few seconds."""
        seconds = max(self._route.backoff.first, _age(upload).total_seconds() / 2)
        return timedelta(seconds=min(seconds, self._route.backoff.most))


def _age(upload: Upload) -> timedelta:
    return timedelta() if upload.delivered_at is None else abs(_now() - upload.delivered_at)


def _now() -> datetime:
    return datetime.now(UTC)
