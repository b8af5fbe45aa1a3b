"""An exception as lines that cannot quote what it was about."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import PurePath
from traceback import walk_tb
from typing import Final

from ambientd.errors import AmbientError

LAST_PLACES: Final = 30
"""Places printed of one exception, the last ones: endless recursion passes a thousand."""


def named(error: BaseException) -> str:
    """An error in short: ours with its message, which never quotes a conversation, others by type and number.

    The number is what an operator needs ("ENOSPC": the disk is full), and cannot quote anything.
    """
    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    if isinstance(error, AmbientError):
        return f"{kind.__qualname__}: {error}"
    if isinstance(error, OSError) and error.errno is not None:
        return f"{name} {errno.errorcode.get(error.errno, error.errno)}"
    sqlite = getattr(error, "sqlite_errorname", None)
    return f"{name} {sqlite}" if isinstance(sqlite, str) else name


def trace(error: BaseException) -> list[str]:
    """The error, where it passed, and what it came from: the outermost first, one line each."""
    return list(_lines(error, "", set()))


def _lines(error: BaseException, indent: str, seen: set[int]) -> Iterator[str]:
    if id(error) in seen:  # a chain may be a ring
        return
    seen.add(id(error))
    yield from (indent + line for line in named(error).split("\n"))
    places = [(frame.f_code, line) for frame, line in walk_tb(error.__traceback__)]
    for code, line in places[-LAST_PLACES:]:
        yield f"{indent}  at {'/'.join(PurePath(code.co_filename).parts[-3:])}:{line} in {code.co_qualname}"
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield f"{indent}  one of them:"
            yield from _lines(each, indent + "  ", seen)
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield f"{indent}after:"
        yield from _lines(before, indent, seen)
