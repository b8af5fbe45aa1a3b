"""The running sync: one task that waits for its event and then does a round."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import Final

from ambientd.core.delivery import SyncState, SyncStatus, Upload
from ambientd.errors import ClientError, OperatorError, StoreUnavailable
from ambientd.store.database import Database
from ambientd.store.deliveries import Outbox
from ambientd.store.facts import fact, remember
from ambientd.sync.answers import Listener
from ambientd.sync.breaker import Breaker
from ambientd.sync.central import open_central
from ambientd.sync.profiles import profile
from ambientd.sync.route import Route
from ambientd.sync.schedule import Alarms, open_alarms
from ambientd.sync.uploader import Tally, Uploader

logger = logging.getLogger(__name__)

LONGEST_SLEEP: Final = 900.0
"""Seconds, by the monotonic clock: alarms are set by the time of day, and a clock set back a year would put them all
off by a year."""

SHORTEST_SLEEP: Final = 0.1
"""Seconds between two alarms of the sync's own."""

AFTER_A_FAULT: Final = 60.0
"""Seconds until a round that failed inside the box is tried again."""

PAUSED: Final = "sync_paused"
LAST: Final = "sync_last"
"""Facts kept over a restart."""


class Courier:
    """Made by :func:`open_courier`."""

    def __init__(self, database: Database, route: Route | None, wake: asyncio.Event) -> None:
        """``route``: ``None`` where no centre is set."""
        self.outbox = Outbox(database)
        self._database = database
        self._route = route
        self._event = wake
        self._tally = Tally()
        self._paused = False
        self._forced = False
        self._at_any_hour = False
        self._sending = False
        self._alarms: Alarms | None = None
        backoff = route.backoff if route else Route("", "", "").backoff
        self._breaker = Breaker(backoff, time.monotonic, random.random)
        self._line: tuple[Uploader, Listener] | None = None

    @property
    def delivers(self) -> bool:
        """Whether there is a centre."""
        return self._route is not None

    def wake(self) -> None:
        """Something has changed in the outbox: look now."""
        self._event.set()

    async def pause(self) -> None:
        """Call nobody from now on, over restarts too, until ``resume``.  A call under way is finished."""
        self._paused = True
        await self._remember(PAUSED, "yes")

    async def resume(self) -> None:
        """Go on."""
        self._paused = False
        await self._remember(PAUSED, "no")
        self.wake()

    async def run_now(self) -> None:
        """Try every row at once, whatever its next attempt and the window say.

        Raises:
            ClientError: there is no centre, or the sync is paused.
        """
        if self._route is None:
            raise ClientError("sync_off", "no central server is set", hint="Set sync.profile and sync.url.")
        if self._paused:
            raise ClientError("sync_paused", "the sync is paused", hint="Resume it first.")
        await self.outbox.hurry(_now())
        self._breaker.succeed()
        self._forced = True
        self.wake()

    async def retry(self, upload_id: str) -> Upload:
        """Try one row at once, parked or not.

        Raises:
            ClientError: there is none, or nothing is to be tried.
        """
        upload = await self._known(upload_id)
        if not await self.outbox.again(upload.id, _now()):
            raise ClientError("not_retryable", f"a row that is {upload.status} is not sent again")
        self.wake()
        return await self._known(upload_id)

    async def park(self, upload_id: str) -> Upload:
        """Leave one row to a person.

        Raises:
            ClientError: there is none, or it is delivered or parked.
        """
        upload = await self._known(upload_id)
        if not await self.outbox.park(upload.id, reason="parked by hand."):
            raise ClientError("not_parkable", f"a row that is {upload.status} cannot be parked")
        return await self._known(upload_id)

    async def status(self) -> SyncStatus:
        """How it stands."""
        return SyncStatus(
            state=self._state(),
            profile=self._route.profile if self._route else "none",
            counts=await self.outbox.counts(),
            oldest=await self.outbox.oldest(),
            last_success=self._tally.last_success,
            last_error=self._tally.last_error,
            last_error_at=self._tally.last_error_at,
            next_run=self._alarms.next_time if self._alarms and not self._paused else None,
            attempts=dict(self._tally.outcomes),
        )

    async def run(self, alarms: Alarms) -> None:
        """Do a round whenever it is woken, until cancelled."""
        self._alarms = alarms
        async with AsyncExitStack() as stack:
            while True:
                with suppress(TimeoutError):
                    async with asyncio.timeout(LONGEST_SLEEP):
                        await self._event.wait()
                self._event.clear()
                try:
                    await self._round(stack, alarms)
                except StoreUnavailable as error:
                    logger.error("the sync cannot use the store", extra={"error": error})  # noqa: TRY400 - told whole
                    alarms.once(_now() + timedelta(seconds=AFTER_A_FAULT))
                # The boundary of a round: a defect in one must not end all deliveries for ever.
                except Exception as error:
                    logger.exception("a round of the sync failed", extra={"error": type(error).__name__})
                    alarms.once(_now() + timedelta(seconds=AFTER_A_FAULT))

    async def _round(self, stack: AsyncExitStack, alarms: Alarms) -> None:
        route, forced = self._route, self._forced
        self._forced = False
        if route is None or self._paused:
            return
        if not forced and not self._is_open():
            opening = _opening(route) + timedelta(seconds=random.random() * route.jitter)  # noqa: S311 - no secret
            alarms.once(opening)
            return
        self._at_any_hour = forced
        before = self._tally.last_success, self._tally.last_error_at
        self._sending = True
        try:
            uploader, listener = await self._connected(stack, route)
            await uploader.drain()
            if self._wanted():
                await listener.listen()
        except StoreUnavailable:
            raise
        except OperatorError as error:
            # The box goes on recording; whoever corrects the file need not restart it.
            self._tally.last_error, self._tally.last_error_at = str(error), _now()
            logger.error("the sync is not set up", extra={"error": error})  # noqa: TRY400 - its message is all
            alarms.once(_now() + timedelta(seconds=AFTER_A_FAULT))
            return
        finally:
            self._sending = False
            if before != (self._tally.last_success, self._tally.last_error_at):
                await self._remember_last()
        await self._set_alarm(alarms)

    async def _connected(self, stack: AsyncExitStack, route: Route) -> tuple[Uploader, Listener]:
        if self._line is None:
            # Kept only once all of it stands: what a bad file of questions stops would be opened anew each round.
            async with AsyncExitStack() as opened:
                central = await opened.enter_async_context(open_central(route))
                spoken = profile(route.profile, central, route)
                stack.push_async_callback(opened.pop_all().aclose)
            uploader = Uploader(
                self.outbox,
                central=central,
                profile=spoken,
                route=route,
                breaker=self._breaker,
                tally=self._tally,
                wanted=self._wanted,
            )
            self._line = uploader, Listener(self._database, spoken, route, self._breaker)
        return self._line

    async def _set_alarm(self, alarms: Alarms) -> None:
        following = await self.outbox.next_time()
        if following is not None:
            pause = max(self._breaker.remaining, SHORTEST_SLEEP)
            alarms.once(max(following, _now() + timedelta(seconds=pause)))

    def _wanted(self) -> bool:
        """Whether the round under way is to go on: it may have been paused since, or its hours be over."""
        return not self._paused and (self._at_any_hour or self._is_open())

    def _is_open(self) -> bool:
        return self._route is not None and self._route.window.holds(
            _now().astimezone(self._route.zone).time()
        )

    def _state(self) -> SyncState:
        if self._route is None:
            return SyncState.OFF
        if self._paused:
            return SyncState.PAUSED
        if self._sending:
            return SyncState.SENDING
        if not self._is_open():
            return SyncState.CLOSED
        return SyncState.WAITING if self._breaker.remaining else SyncState.IDLE

    async def _known(self, upload_id: str) -> Upload:
        upload = await self.outbox.get(upload_id)
        if upload is None:
            raise ClientError("no_such_item", "no delivery has this id")
        return upload

    async def _remember(self, name: str, value: str) -> None:
        await self._database.transact(lambda connection: remember(connection, name, value))

    async def _remember_last(self) -> None:
        tally = self._tally
        told = {
            "success": tally.last_success and tally.last_success.isoformat(),
            "error": tally.last_error,
            "error_at": tally.last_error_at and tally.last_error_at.isoformat(),
        }
        await self._remember(LAST, json.dumps(told))

    async def recall(self) -> None:
        """Go on as before the restart."""
        paused = await self._database.query(lambda connection: fact(connection, PAUSED))
        last = await self._database.query(lambda connection: fact(connection, LAST))
        self._paused = paused == "yes"
        if last is not None:
            told = json.loads(last)
            tally = self._tally
            tally.last_error = told["error"]
            tally.last_error_at = datetime.fromisoformat(told["error_at"]) if told["error_at"] else None
            tally.last_success = datetime.fromisoformat(told["success"]) if told["success"] else None


@asynccontextmanager
async def open_courier(database: Database, route: Route | None) -> AsyncIterator[Courier]:
    """A courier at work for as long as the block lasts.  What a crash left in flight is looked for at once.

    Raises:
        OperatorError: the schedule means nothing, or the store cannot be read.
    """
    wake = asyncio.Event()
    wake.set()
    courier = Courier(database, route, wake)
    await courier.recall()
    usual = route or Route("none", "", "")
    async with open_alarms(wake, schedule=usual.schedule, jitter=usual.jitter, zone=usual.zone) as alarms:
        running = asyncio.create_task(courier.run(alarms))
        try:
            yield courier
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


def _opening(route: Route) -> datetime:
    """When the window opens next."""
    here = _now().astimezone(route.zone)
    opens = here.replace(
        hour=route.window.opens.hour, minute=route.window.opens.minute, second=0, microsecond=0
    )
    return (opens if opens > here else opens + timedelta(days=1)).astimezone(UTC)


def _now() -> datetime:
    return datetime.now(UTC)
