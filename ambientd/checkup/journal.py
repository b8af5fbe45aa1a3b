"""The daemon's lines of the journal, as far as they can be given away: put together from what is allowed.

    Rule 1  A line is kept if its words are those of a message in the source of this program; arguments are left out.
    Rule 2  Of its facts the numbers stay, and the words of a few facts that name parts of the box, never an id.
    Rule 3  Of an exception its type stays, and the places it passed.
    Rule 4  What systemd itself says of the unit stays; any other line of the unit is counted, not shown.

The journal already holds no word of a conversation.  It does hold ids of sessions, which a client may choose, and
addresses of the clinic's network: reason enough to give away neither.
"""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any, Final

from ambientd.checkup.outside import UNIT

LINES: Final = 5_000
"""Newest entries read: about a week of a quiet box."""

SHOWN: Final = frozenset(
    {"code", "kernels", "language", "method", "model", "quantisation", "route", "signal", "version"}
)
"""Facts whose one word is shown; of all others only numbers."""

_LEVELS: Final = frozenset({"debug", "info", "warning", "error", "critical", "exception", "log"})
_FACT: Final = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S+)')
_WORD: Final = re.compile(r"[A-Za-z][A-Za-z0-9_.,/{}:-]{0,60}")
_NUMBER: Final = re.compile(r"-?\d{1,15}(\.\d{1,6})?")
_PLACE: Final = re.compile(r"\s*(at [\w./+-]+:\d+ in [\w.<>]+|after:|one of them:)")
_KIND: Final = re.compile(r"\s*[A-Za-z_][\w.]*( [A-Z][A-Z0-9_]+)?")
_TIMED: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:.]+Z [A-Z]+ ")
_SECONDS: Final = 60.0


def lines() -> list[str]:
    """The newest lines of the unit; one that says why there are none, where there are none."""
    program = shutil.which("journalctl")
    if program is None:
        return ["There is no journalctl on this machine."]
    asked = [program, "--unit", UNIT, "--no-pager", "--lines", str(LINES), "--output", "json"]
    try:
        done = subprocess.run(asked, capture_output=True, timeout=_SECONDS, check=False)  # noqa: S603 - ours
    except (OSError, subprocess.TimeoutExpired) as error:
        return [f"The journal could not be read: {type(error).__name__}."]
    kept = list(given_away(_entries(done.stdout.splitlines())))
    return kept or [f"The journal has no line of {UNIT} that this user may read."]


def given_away(entries: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Those entries that can be shown, one or more lines each; the others as a count."""
    withheld = 0
    for entry in entries:
        text = shown(entry)
        if text is None:
            withheld += 1
            continue
        yield f"{_moment(entry)} {text}"
    if withheld:
        yield f"{withheld} other lines are withheld."


def shown(entry: Mapping[str, Any]) -> str | None:
    """What may be shown of an entry; ``None`` for nothing."""
    message = entry.get("MESSAGE")
    if not isinstance(message, str):  # binary, or too long for JSON
        return None
    if entry.get("_PID") == "1" and entry.get("SYSLOG_IDENTIFIER") == "systemd":
        return f"systemd: {message}"
    first, *rest = message.split("\n")
    logger, _, said = _TIMED.sub("", first, count=1).partition(": ")
    if not re.fullmatch(r"ambientd[\w.]*", logger):
        return None
    found = _FACT.search(said)
    words = said[: found.start()] if found else said
    template = next((each for each in templates() if _matches(each, words)), None)
    if template is None:
        return None
    facts = [
        f"{name}={value}"
        for name, value in _FACT.findall(said[found.start() :] if found else "")
        if _NUMBER.fullmatch(value) or (name in SHOWN and _WORD.fullmatch(value))
    ]
    traced = [line for line in map(_traced, rest) if line]
    return "\n".join([" ".join([f"{logger}: {template}", *facts]), *traced])


def _traced(line: str) -> str:
    if _PLACE.fullmatch(line):
        return line
    kind = line.partition(":")[0]
    return kind if _KIND.fullmatch(kind) else ""


@cache
def templates() -> frozenset[str]:
    """Every message that this program can log, as it stands in its source."""
    found: set[str] = set()
    for path in Path(__file__).parent.parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr in _LEVELS
                and isinstance(node.func.value, ast.Name)
                and node.func.value.id in {"logger", "log"}
            ):
                texts = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
                found.update(text for text in texts if isinstance(text, str))
    return frozenset(found)


def _matches(template: str, words: str) -> bool:
    if "%" not in template:
        return template == words
    return re.fullmatch(".*".join(map(re.escape, re.split(r"%[sdr]", template))), words) is not None


def _entries(raw: Iterable[bytes]) -> Iterator[Mapping[str, Any]]:
    for line in raw:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def _moment(entry: Mapping[str, Any]) -> str:
    stamp = str(entry.get("__REALTIME_TIMESTAMP", ""))
    if not stamp.isdecimal():
        return "-"
    return datetime.fromtimestamp(int(stamp) / 1e6, UTC).isoformat(timespec="milliseconds")
