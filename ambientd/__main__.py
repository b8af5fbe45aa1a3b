"""The command ``ambientd``: arguments, settings, log, then the daemon.

Exit status: 0 after a regular stop, 1 where the operator must act, 78 (``EX_CONFIG``) for faulty settings, so that
a supervisor need not try again.
"""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import logging
import resource
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

from ambientd import __version__, log, systemd
from ambientd.config import Settings, doubts, load
from ambientd.config.pages import describe
from ambientd.errors import EXIT_CONFIG, ConfigError, EngineUnavailable, OperatorError

logger = logging.getLogger("ambientd")

EXIT_OPERATOR = 1
"""Something outside must change first: weights, disk, port."""

EXIT_INTERRUPTED = 130
"""Stopped with Ctrl-C while starting.  Source: the shells' 128 + SIGINT."""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the daemon until it is told to stop; the exit status."""
    options = _arguments().parse_args(argv)
    try:
        settings = load(options.config)
    except ConfigError as error:
        log.say(f"ambientd: {error.message}\n{error.hint}", "CRITICAL")
        return EXIT_CONFIG
    if options.check_config:
        for doubt in doubts(settings):
            log.say(f"ambientd: {doubt}", "WARNING")
        sys.stdout.write(describe(settings))
        return 0
    log.set_up(settings.log.level, settings.log.format, journal=systemd.journal())
    # A crash would put words and audio of conversations on the disk, in clear.
    with suppress(
        ValueError, OSError
    ):  # the service's sandbox refuses it, and the unit has set the limit itself
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # Where each thread was when the watchdog ended it, or it crashed in C: places in the program, no values.
    faulthandler.enable()
    for doubt in doubts(settings):
        logger.warning("a setting deserves a look", extra={"advice": log.Vouched(doubt)})
    try:
        return _serve(settings, partial(load, options.config))
    except KeyboardInterrupt:  # before the daemon listened for it
        return EXIT_INTERRUPTED


def _serve(settings: Settings, read: Callable[[], Settings]) -> int:
    # Only here: --check-config must work on a machine where the engine's libraries cannot even be loaded.
    try:
        # The engine first: it goes on loading while the rest is imported.
        from ambientd.warming import Warming  # noqa: PLC0415

        warming = Warming(settings)
        from ambientd.daemon import run  # noqa: PLC0415
    except (ImportError, OperatorError) as error:
        broken = error
        if not isinstance(error, OperatorError):
            broken = EngineUnavailable(
                f"a part of the program cannot be loaded: {error}", hint="Install it again."
            )
        logger.critical("cannot run", extra={"error": broken})
        return EXIT_OPERATOR

    status = 0
    try:
        asyncio.run(run(settings, warming, read))
    except* OperatorError as group:
        for each in _each(group):
            logger.critical("cannot run", extra={"error": each})
            status = status or (EXIT_CONFIG if isinstance(each, ConfigError) else EXIT_OPERATOR)
    return status


def _each(group: BaseExceptionGroup[OperatorError]) -> Iterator[OperatorError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _each(error)
        else:
            yield error


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ambientd",
        description="Live speech to text for the exam room, on the clinic's own hardware.",
        epilog="Every setting is described in docs/settings.md and in the sample file config/ambientd.toml.",
    )
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="settings file (default: $AMBIENTD_CONFIG, else /etc/ambientd/ambientd.toml if it exists)",
    )
    parser.add_argument(
        "--check-config",
        action="store_true",
        help="print the settings in effect and where they come from, and exit",
    )
    parser.add_argument("--version", action="version", version=f"ambientd {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
