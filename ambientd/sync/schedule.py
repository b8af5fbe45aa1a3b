"""APScheduler as an alarm clock: its jobs set an event and do nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta, tzinfo

from apscheduler.jobstores.memory import MemoryJobStore
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from apscheduler.triggers.cron import CronTrigger
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from ambientd.errors import OperatorError

INTERVAL = "interval"


class Alarms:
    """Made by :func:`open_alarms`."""

    def __init__(self, scheduler: AsyncIOScheduler, wake: asyncio.Event) -> None:
        self._scheduler = scheduler
        self._wake = wake

    def once(self, at: datetime) -> None:
        """Ring at ``at`` as well, in place of what was asked for so before."""
        self._scheduler.add_job(
            _ring, DateTrigger(run_date=at), [self._wake], id="once", replace_existing=True
        )

    @property
    def next_time(self) -> datetime | None:
        """When it rings next."""
        times = [job.next_run_time for job in self._scheduler.get_jobs()]
        return min((time.astimezone(UTC) for time in times if time is not None), default=None)


@asynccontextmanager
async def open_alarms(
    wake: asyncio.Event, *, schedule: str, jitter: float, zone: tzinfo
) -> AsyncIterator[Alarms]:
    """Alarms that set ``wake``, for as long as the block lasts.

    schedule: ``interval SECONDS`` or the five fields of cron, in ``zone``.
    jitter: seconds; of boxes that were switched on together no two are to call at once.

    Raises:
        OperatorError: the schedule means nothing.
    """
    scheduler = AsyncIOScheduler(
        timezone=UTC,
        jobstores={"default": MemoryJobStore()},
        # By itself it skips what is more than a second late: a box that slept would sleep on.
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
    )
    scheduler.add_job(_ring, trigger(schedule, jitter, zone), [wake], id="schedule")
    scheduler.start()
    try:
        yield Alarms(scheduler, wake)
    finally:
        scheduler.shutdown(wait=False)


def trigger(schedule: str, jitter: float, zone: tzinfo) -> IntervalTrigger | CronTrigger:
    """The trigger of a schedule.

    Raises:
        OperatorError: it means nothing.
    """
    kind, _, rest = schedule.partition(" ")
    try:
        if kind == INTERVAL:
            seconds = float(rest)
            # Never more jitter than period: alarms would overtake each other.
            return IntervalTrigger(
                seconds=max(1, round(seconds)),
                jitter=min(jitter, seconds / 2) or None,
                timezone=UTC,
                start_date=datetime.now(UTC) + timedelta(seconds=seconds),
            )
        cron = CronTrigger.from_crontab(schedule, timezone=zone)
        cron.jitter = jitter or None
    except ValueError as error:
        raise OperatorError(
            f"the schedule {schedule!r} means nothing.",
            hint='Use "interval 300" (seconds) or the five fields of cron, such as "*/10 * * * *".',
        ) from error
    return cron


async def _ring(wake: asyncio.Event) -> None:
    # A coroutine, so that it runs in the loop: a plain function would be called in a thread, where an event must not be
    # set.
    wake.set()
