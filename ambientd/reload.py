"""Settings that change while the daemon runs: at SIGHUP they are read again.

Rule 1  A faulty file changes nothing, and the log says what is wrong with it.
Rule 2  What can change without a restart does, for sessions opened from then on; running ones keep their terms.
Rule 3  What cannot is named in the log and stays as it was, whole: nothing is half in force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from ambientd.config import Settings
from ambientd.config.rules import impossible
from ambientd.errors import ConfigError, OperatorError
from ambientd.supervision import Supervision

logger = logging.getLogger(__name__)

Apply = Callable[[Settings], Awaitable[None] | None]
"""What cannot wait in the event loop is a plain function: it is called in a thread of its own."""


@dataclass(frozen=True, slots=True)
class _Part:
    names: frozenset[str]
    apply: Apply
    always: bool


class Reloading:
    """The settings in force, and who wants to know when they change."""

    def __init__(self, settings: Settings, read: Callable[[], Settings]) -> None:
        """``settings``: those of the start.  ``read``: reads them again, from the same sources."""
        self.settings = settings
        """In force now; sessions that open take their terms from here."""
        self._read = read
        self._parts: list[_Part] = []

    def on(self, *names: str, apply: Apply = lambda _: None, always: bool = False) -> None:
        """Declares settings that can change live: ``table.key``, or ``table`` for all of it.

        ``apply``: called with the new settings when one of them has changed; it must leave all as it was if it raises.
        ``always``: also when none has, for what stands in files that settings only name.
        Without ``apply`` the settings are read from :attr:`settings` whenever they are needed.
        """
        self._parts.append(_Part(frozenset(names), apply, always))

    async def reload(self) -> None:
        """Reads the settings again and puts in force what can be."""
        try:
            fresh = await asyncio.to_thread(self._read)
        except ConfigError as error:
            logger.error("the settings are faulty: nothing was changed", extra={"error": error})  # noqa: TRY400
            return
        changed = differing(self.settings, fresh)
        live = {name for name in changed if any(_covers(part.names, name) for part in self._parts)}
        mixed = in_force(self.settings, fresh, live)
        if faults := impossible(mixed, set()):
            logger.error(
                "the new settings do not go with those that wait for a restart: nothing was changed; restart instead",
                extra={"error": ConfigError(faults)},
            )
            return
        for part in self._parts:
            mine = {name for name in live if _covers(part.names, name)}
            if not mine and not part.always:
                continue
            try:
                under_way = await asyncio.to_thread(part.apply, mixed)
                if under_way is not None:
                    await under_way
            except OperatorError as error:
                logger.error("what was in force stays", extra={"setting": sorted(mine), "error": error})  # noqa: TRY400
                live -= mine
        self.settings = in_force(self.settings, fresh, live)
        logger.info("the settings were read again", extra={"setting": sorted(live)})
        if waiting := sorted(set(changed) - live):
            logger.warning(
                "these settings change at the next start of the service", extra={"setting": waiting}
            )


def differing(one: Settings, other: Settings) -> list[str]:
    """The settings that are not the same in both, as ``table.key``."""
    return [
        f"{table}.{key}"
        for table in type(one).model_fields
        for key in type(getattr(one, table)).model_fields
        if getattr(getattr(one, table), key) != getattr(getattr(other, table), key)
    ]


def in_force(old: Settings, fresh: Settings, live: Iterable[str]) -> Settings:
    """``old`` with the ``live`` settings, as ``table.key``, of ``fresh``."""
    tables: dict[str, dict[str, object]] = {}
    for name in live:
        table, key = name.split(".")
        tables.setdefault(table, {})[key] = getattr(getattr(fresh, table), key)
    changed = {table: getattr(old, table).model_copy(update=values) for table, values in tables.items()}
    return old.model_copy(update=changed)


def _covers(names: frozenset[str], name: str) -> bool:
    return name in names or name.partition(".")[0] in names


@asynccontextmanager
async def reloaded(
    reloading: Reloading, asked: asyncio.Event, supervision: Supervision
) -> AsyncIterator[None]:
    """Reloads whenever ``asked`` is set, until the block is left."""

    async def serve() -> None:
        while True:
            await asked.wait()
            asked.clear()
            with supervision.reloading():
                await reloading.reload()

    task = asyncio.create_task(serve(), name="reload")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
