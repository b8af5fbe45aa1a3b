"""What the service says about itself, and what it cannot say.

Logs are read, copied and mailed by people who must not read a consultation.  So that no word of one gets
there, not even by a mistake elsewhere, a line is put together from what is allowed, instead of having
forbidden things taken out:

    Rule 1  Our records are constant words and named facts: ``logger.info("session opened", extra={"session":
            name})``.  Facts that are not in ``FACTS`` are not printed.
    Rule 2  A fact, like an argument of the message, is a number, a path, one word, or one of our own errors,
            whose messages never quote a conversation.  Text with a space in it may be speech: it is withheld,
            unless its author has marked it :class:`Vouched`.
    Rule 3  Of an exception that is not ours the type, the error number and the places it passed are printed,
            at every level, and never its message: SQLAlchemy's holds the row, json's the document,
            KeyError's the key.  Nor at DEBUG: that is set on the box that misbehaves, which is in use.
    Rule 4  Other libraries' records are printed from WARNING on: the template's words without its arguments.
            A text without arguments may have been put together before, as asyncio does with the repr of the
            failed task, so only its place in the source is printed.
"""

from __future__ import annotations

import json
import logging
import numbers
import os
import re
import sys
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Literal, TextIO

from ambientd.trace import named, trace

FACTS: Final = frozenset(
    name
    for line in (
        "advice attempt backup bytes chunks close_code code connections cores count device elapsed error expires",
        "file gap host in_thread kept kernels lag lanes language limit lines live method model parts path port",
        "quantisation reason remote revision route samples seconds session sessions setting setup_code sha256 signal",
        "size status table threads timeout tuned url version waiting",
    )
    for name in line.split()
)
"""The names of facts that may be printed.  None may name something that holds what was said."""

Send = Callable[[Iterable[tuple[str, str]]], None]
"""Takes one entry of the journal: its fields and their values."""

WITHHELD: Final = "(withheld)"

LONGEST_WORD: Final = 128
"""Characters of a one-word fact: a session's name has at most 64, a checksum 64."""

_PRIORITY: Final = {"DEBUG": 7, "INFO": 6, "WARNING": 4, "ERROR": 3, "CRITICAL": 2}
"""Python's levels as the journal's.  Source: sd-daemon(3)."""

_TOKEN: Final = re.compile(r"(?i)\b(token|password|secret|api_?key)=[^\s&\"'\\]+")
"""Credentials in addresses; no line of ours prints a query string, this is for an error that quotes one."""


class Vouched(str):
    """Text whose author vouches that no word of a conversation can be in it."""

    __slots__ = ()


def allowed(value: object) -> str | int | float | bool | None:
    """A fact as rule 2 lets it through."""
    match value:
        case None | bool() | int():
            return value
        case numbers.Real():
            return round(float(value), 3)
        case BaseException():
            return named(value)
        case tuple() | list() | set() | frozenset():
            return ",".join(str(allowed(each)) for each in value)
        case str() | Path():
            trusted = isinstance(value, Vouched | Path) or (len(value) <= LONGEST_WORD and _is_word(value))
            return str(value) if trusted else WITHHELD
    return WITHHELD


class _Form(logging.Formatter):
    """Takes a record apart by the rules; the subclasses print the parts."""

    def parts(self, record: logging.LogRecord) -> tuple[str, dict[str, object], list[str]]:
        """Message, facts, and the lines of the exception's trace."""
        error = record.exc_info[1] if record.exc_info else None
        lines = trace(error) if error is not None else []
        if not _ours(record):
            template = str(record.msg) if record.args else WITHHELD
            return template, {"at": f"{record.module}:{record.lineno}"}, lines
        facts: dict[str, object] = {n: allowed(value) for n, value in vars(record).items() if n in FACTS}
        return _filled(record), facts, lines


class TextForm(_Form):
    """``2026-11-22T15:27:01.123Z INFO ambientd.session: session opened session=abc live=3``."""

    def __init__(self, *, to_journal: bool, time: bool = True) -> None:
        super().__init__()
        self._to_journal = to_journal
        self._time = time and not to_journal

    def format(self, record: logging.LogRecord) -> str:
        """One line, and one more for each place of an exception."""
        message, facts, lines = self.parts(record)
        shown = (f"{name}={_quoted(fact)}" for name, fact in facts.items())
        first = " ".join([f"{record.name}: {message}", *shown])
        if self._time:
            first = f"{_time(record)} {record.levelname} {first}"
        text = _TOKEN.sub(r"\1=…", "\n".join([first, *lines]))
        return marked(text, record.levelname) if self._to_journal else text


class JsonForm(_Form):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The parts under ``time level logger message``, the facts by their names, and ``trace``."""
        message, facts, lines = self.parts(record)
        head = {"time": _time(record), "level": record.levelname, "logger": record.name, "message": message}
        tail = {"trace": lines} if lines else {}
        return _TOKEN.sub(r"\1=…", json.dumps({**head, **facts, **tail}, ensure_ascii=False))


class _Ours(logging.Handler):
    def filter(self, record: logging.LogRecord) -> bool:
        return _ours(record) or record.levelno >= logging.WARNING

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - the base class's name
        # The base class would print the record's arguments.
        kind, _, _ = sys.exc_info()
        say(f"a log record was lost: {kind.__name__ if kind else ''} at {record.module}:{record.lineno}")


class _Stream(_Ours, logging.StreamHandler[TextIO]):
    pass


class _Journal(_Ours):
    """One entry a record, with a field for each fact: ``journalctl AMBIENTD_SESSION=abc``.

    systemd-python's own handler would pass on any upper-case ``extra=`` and the arguments of the message.
    """

    def __init__(self, send: Send) -> None:
        super().__init__()
        self._send = send

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._send(journal_fields(record))
        except Exception:  # noqa: BLE001 - told on standard error, like any other handler's
            self.handleError(record)


def journal_fields(record: logging.LogRecord) -> list[tuple[str, str]]:
    """A record as fields of the journal: what the text form says, and each fact by itself."""
    form = TextForm(to_journal=False, time=False)
    _, facts, _ = form.parts(record)
    shown = ((f"AMBIENTD_{name.upper()}", _TOKEN.sub(r"\1=…", str(fact))) for name, fact in facts.items())
    return [
        ("MESSAGE", form.format(record)),
        ("PRIORITY", str(_PRIORITY.get(record.levelname, 6))),
        ("SYSLOG_IDENTIFIER", "ambientd"),
        ("LOGGER", record.name),
        ("CODE_FILE", record.pathname),
        ("CODE_LINE", str(record.lineno)),
        ("CODE_FUNC", str(record.funcName)),
        *shown,
    ]


def set_up(
    level: str = "INFO",
    form: Literal["auto", "text", "json"] = "auto",
    *,
    stream: TextIO | None = None,
    environ: Mapping[str, str] | None = None,
    journal: Send | None = None,
) -> None:
    """Sends all records, and what would end in a bare traceback, to ``stream`` (standard error) by the rules.

    ``level`` and ``form``: as in the settings.  ``environ``: by default this process's.
    ``journal``: takes entries with fields; used where ``stream`` ends in the journal anyway.
    """
    stream = stream or sys.stderr
    to_journal = form == "auto" and in_journal(stream, os.environ if environ is None else environ)
    out: logging.Handler
    if to_journal and journal is not None:
        out = _Journal(journal)
    else:
        out = _Stream(stream)
        out.setFormatter(JsonForm() if form == "json" else TextForm(to_journal=to_journal))
    root = logging.getLogger()
    root.handlers[:] = [out]
    root.setLevel(level)
    logger = logging.getLogger("ambientd")

    # Python's own hooks print the exception's message.
    def raised(_kind: object, error: BaseException, _place: object) -> None:
        logger.critical("unexpected error", exc_info=error)

    def raised_in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            name = args.thread.name if args.thread else None
            logger.error("unexpected error in a thread", extra={"in_thread": name}, exc_info=args.exc_value)

    def cannot_raise(args: sys.UnraisableHookArgs) -> None:
        logger.error("unexpected error where none can be raised", exc_info=args.exc_value)

    sys.excepthook, threading.excepthook, sys.unraisablehook = raised, raised_in_thread, cannot_raise


def in_journal(stream: TextIO, environ: Mapping[str, str]) -> bool:
    """Whether ``stream`` ends in systemd's journal.

    ``$JOURNAL_STREAM`` alone does not tell: a program that a service starts inherits it, with its output
    somewhere else.  It names the device and inode of the stream.  Source: systemd.exec(5).
    """
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):  # not a file, or closed
        return False
    return environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def marked(text: str, level: str) -> str:
    """Text with the journal's priority before each line; one without would be taken for ``info``."""
    mark = f"<{_PRIORITY.get(level, 6)}>"
    return "\n".join(mark + line for line in text.split("\n"))


def say(text: str, level: str = "ERROR") -> None:
    """Plain lines for the operator on standard error, where there are no settings yet to log by."""
    sys.stderr.write((marked(text, level) if in_journal(sys.stderr, os.environ) else text) + "\n")


def _ours(record: logging.LogRecord) -> bool:
    return record.name.split(".", 1)[0] == "ambientd"


def _filled(record: logging.LogRecord) -> str:
    """The message with its arguments, as far as rule 2 allows them."""
    if not record.args:
        return str(record.msg)
    args = record.args
    try:
        if isinstance(args, Mapping):
            return str(record.msg) % {name: allowed(value) for name, value in args.items()}
        return str(record.msg) % tuple(allowed(value) for value in args)
    except (TypeError, ValueError, KeyError):  # %d of something withheld
        return str(record.msg)


def _is_word(text: str) -> bool:
    return text.isprintable() and " " not in text


def _quoted(fact: object) -> str:
    text = str(fact)
    return text if _is_word(text) else json.dumps(text, ensure_ascii=False)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
