"""The outbox, drained once: each row that is due is sent, or it is noted why not.

Rule 1  Mark, then call, then note the outcome; a crash between leaves a part in flight.
Rule 2  A part in flight is never sent again while it may have arrived: it is looked for, and a look that does not find
        it is believed only when the attempt has settled.  (Not needed where a repeat changes nothing.)
Rule 3  One row's trouble never holds up the next; the centre's trouble ends the round.
"""

from __future__ import annotations

import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from ambientd.core.delivery import Part, PartStatus, Upload, UploadStatus
from ambientd.errors import AmbientError, CentralRejected, CentralUnavailable
from ambientd.store.deliveries import Outbox
from ambientd.store.parcels import Parcel
from ambientd.store.refusals import SealBroken
from ambientd.sync.breaker import Breaker
from ambientd.sync.central import Central
from ambientd.sync.profiles import Profile, Receipt
from ambientd.sync.route import Route

logger = logging.getLogger(__name__)

SKEW: Final = timedelta(hours=26)
"""How much earlier than its attempt an upload may be dated: a server that writes local times without a zone is up to 14
hours off, and its clock may have been set since."""

OLDEST: Final = timedelta(days=60)
"""An attempt that seems older than this was dated by a clock that was wrong: all uploads are looked through."""

WITHDRAWN: Final = "the patient has withdrawn consent."


@dataclass(slots=True)
class Tally:
    """What the uploader has done since the start."""

    outcomes: Counter[str] = field(default_factory=Counter)
    """``delivered``, ``found``, ``later``, ``parked``: attempts by outcome."""
    last_success: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None


class Uploader:
    """Made for one centre; one round at a time."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        central: Central,
        profile: Profile,
        route: Route,
        breaker: Breaker,
        tally: Tally,
        wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """``wanted``: asked before each row; a round ends early when nobody wants it any more."""
        self._outbox = outbox
        self._central = central
        self._profile = profile
        self._route = route
        self._breaker = breaker
        self._tally = tally
        self._wanted = wanted
        self._seen: dict[tuple[str, int], float] = {}
        """When this process first met a part in flight: its age where the clocks cannot tell it."""

    async def drain(self) -> None:
        """Send all that is due.

        Raises:
            StoreUnavailable: the outbox cannot be read or written; nothing is sent without it.
        """
        await self._outbox.let_go(_now())
        tried: set[str] = set()
        greeted = False
        while due := [each for each in await self._due() if each not in tried]:
            for upload_id in due:
                if not self._wanted():
                    return
                if not greeted:
                    try:
                        await self._central.greet()
                    except CentralUnavailable as error:
                        self._failed("", error)
                        return
                    greeted = True
                tried.add(upload_id)
                if await self._delivered(upload_id):
                    return

    async def _due(self) -> list[str]:
        waits = self._breaker.remaining > 0
        if waits and not self._breaker.lets_new_ones:
            return []
        return await self._outbox.due(_now(), untried=waits)

    async def _delivered(self, upload_id: str) -> bool:
        try:
            return await self._deliver(upload_id)
        except SealBroken as error:
            await self._outbox.park(upload_id, reason=error.message)
            return False
        except AmbientError:
            raise
        # The boundary of a row: a defect that one of them brings out must not keep the others here for ever.
        except Exception as error:
            logger.exception("a delivery failed inside the box", extra={"error": type(error).__name__})
            await self._outbox.postpone(
                upload_id,
                until=_now() + timedelta(seconds=self._route.backoff.most),
                error="it failed inside the box: the log tells where.",
            )
            return False

    async def _deliver(self, upload_id: str) -> bool:
        """Send one row, all parts of it; returns whether the round is to end."""
        now = _now()
        parcel = await self._outbox.begin(
            upload_id, most=self._profile.most, now=now, by_the_centre=self._central.by_its_clock(now)
        )
        if parcel is None:
            return False
        while (part := _flying(parcel.upload)) is not None:
            receipt, ends = await self._attempt(parcel, part)
            if receipt is None:
                return ends
            upload = await self._arrived(parcel, part, receipt)
            if upload is None:
                return False
            following = _flying(upload)
            if following is None and upload.status is UploadStatus.IN_FLIGHT:
                return await self._park(parcel, WITHDRAWN)
            fresh = following is None or following.number not in _flights(parcel.upload)
            parcel = replace(parcel, upload=upload, fresh=fresh)
        return False

    async def _attempt(self, parcel: Parcel, part: Part) -> tuple[Receipt | None, bool]:
        """Find the part at the centre or send it; the receipt, or ``None`` and whether the round is to end."""
        pushed = None
        wanted = not parcel.details.withdrawn
        try:
            if not parcel.fresh and not self._profile.repeatable:
                if (found := await self._look(parcel, part)) is not None:
                    self._tally.outcomes["found"] += 1
                    return found, False
                if (left := self._unsettled(parcel, part)) > 0:
                    await self._outbox.postpone(
                        parcel.upload.id,
                        until=_now() + timedelta(seconds=left),
                        error="the last attempt may still arrive; it is looked for again before the next.",
                    )
                    return None, False
                now = self._central.by_its_clock(_now())
                wanted = await self._outbox.mark(parcel.upload.id, part.number, now)
            certain = parcel.fresh or not self._profile.repeatable
            if not wanted:
                return None, await self._park(parcel, WITHDRAWN, part if certain else None)
            self._seen.pop((parcel.upload.id, part.number), None)
            pushed = part
            return await self._profile.push(parcel, part), False
        except CentralUnavailable as error:
            return None, await self._later(parcel, error, pushed)
        except CentralRejected as error:
            return None, await self._park(parcel, error.message, pushed)

    async def _look(self, parcel: Parcel, part: Part) -> Receipt | None:
        """What the centre has of a part in flight."""
        self._seen.setdefault((parcel.upload.id, part.number), time.monotonic())
        age = self._age(part)
        trusted = age is not None and timedelta() <= age <= OLDEST
        since = part.attempted_at - SKEW if trusted and part.attempted_at is not None else None
        return await self._profile.look(parcel, part, since, self._outbox.claimed)

    def _unsettled(self, parcel: Parcel, part: Part) -> float:
        """Seconds until a look that found nothing can be believed."""
        settle = self._route.settle.total_seconds()
        age = self._age(part)
        if age is not None and age.total_seconds() >= settle:
            return 0.0
        known = time.monotonic() - self._seen[parcel.upload.id, part.number]
        return settle - max(known, 0.0 if age is None else age.total_seconds())

    def _age(self, part: Part) -> timedelta | None:
        return None if part.attempted_at is None else self._central.by_its_clock(_now()) - part.attempted_at

    async def _arrived(self, parcel: Parcel, part: Part, receipt: Receipt) -> Upload | None:
        now = _now()
        self._seen.pop((parcel.upload.id, part.number), None)
        upload = await self._outbox.delivered(
            parcel.upload.id,
            part.number,
            receipt=(receipt.upload_id, receipt.task_id),
            now=now,
            by_the_centre=self._central.by_its_clock(now),
            answers=self._profile.answers,
        )
        self._breaker.succeed()
        self._tally.outcomes["delivered"] += 1
        self._tally.last_success = now
        if upload is not None and upload.status is UploadStatus.DELIVERED:
            logger.info(
                "delivered",
                extra={"session": upload.session_id, "bytes": upload.size, "attempt": upload.attempts},
            )
        return upload

    async def _later(self, parcel: Parcel, error: CentralUnavailable, pushed: Part | None) -> bool:
        """Put a row off; returns whether the round is to end."""
        upload = parcel.upload
        refused = pushed is not None and error.status is not None and error.status >= 500  # noqa: PLR2004
        if refused and upload.server_errors + 1 >= self._route.server_errors:
            reason = f"{error.message[:-1]} {upload.server_errors + 1} times in a row."
            await self._park(parcel, reason)
            return self._failed(upload.id, error)
        pause = self._route.backoff.pause(upload.attempts, random.random())  # noqa: S311 - not a secret
        await self._outbox.postpone(
            upload.id,
            until=_now() + timedelta(seconds=max(pause, error.retry_after or 0.0)),
            error=error.message,
            not_sent=pushed.number if pushed is not None and error.certain else None,
            server_error=refused if pushed is not None else None,
        )
        self._tally.outcomes["later"] += 1
        return self._failed(upload.id, error)

    async def _park(self, parcel: Parcel, reason: str, not_sent: Part | None = None) -> bool:
        await self._outbox.park(
            parcel.upload.id, reason=reason, not_sent=None if not_sent is None else not_sent.number
        )
        self._tally.outcomes["parked"] += 1
        self._note(reason)
        logger.warning(
            "a delivery is parked: ambientctl sync status tells why",
            extra={"session": parcel.upload.session_id},
        )
        return False

    def _failed(self, upload_id: str, error: CentralUnavailable) -> bool:
        self._note(str(error))
        ends = self._breaker.fail(upload_id, everyone=error.everyone, retry_after=error.retry_after)
        if ends:
            logger.info(
                "the centre is not to be had",
                extra={"error": error, "seconds": round(self._breaker.remaining, 1)},
            )
        return ends

    def _note(self, error: str) -> None:
        self._tally.last_error, self._tally.last_error_at = error, _now()


def _flying(upload: Upload) -> Part | None:
    if upload.status is not UploadStatus.IN_FLIGHT:
        return None
    return next((part for part in upload.parts if part.status is PartStatus.IN_FLIGHT), None)


def _flights(upload: Upload) -> set[int]:
    """Numbers of the parts that may have been sent: more than one only in a row from a backup."""
    return {part.number for part in upload.parts if part.status is PartStatus.IN_FLIGHT}


def _now() -> datetime:
    return datetime.now(UTC)
