"""What is wrong with the settings, in words: ``table.key: reason (where it came from)``."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from ambientd.config.kinds import Unit
from ambientd.config.tables import Settings

LONGEST_QUOTE = 60
"""Characters of a wrong value that are quoted: enough to recognise it."""

_REASONS = {
    "int_type": "must be a whole number",
    "int_parsing_size": "must be a whole number of sensible size",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false",
    "string_type": "must be text in quotes",
    "string_too_long": "must have at most {max_length} characters",
    "string_unicode": "must be valid Unicode",
    "path_type": "must be a path in quotes",
    "literal_error": "must be one of {expected}",
    "greater_than_equal": "must be at least {ge:g}{unit}",
    "less_than_equal": "must be at most {le:g}{unit}",
}
"""pydantic's error types in our words; a type that is missing here is reported in pydantic's."""


def quoted(value: object) -> str:
    """A value as TOML writes it, so that it can be pasted; secrets are hidden, tables only named as such."""
    if isinstance(value, SecretStr):
        return '"**********"' if value.get_secret_value() else '""'
    if isinstance(value, bool | int | float):
        return str(value).lower()
    if isinstance(value, str | Path):
        # JSON's string is TOML's basic string, but for DEL.  Bytes of the environment that are not UTF-8
        # arrive as lone surrogates, which no file and few terminals take.
        text = str(value).encode("utf-8", "backslashreplace").decode()
        return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
    return "a table" if isinstance(value, dict) else "a list" if isinstance(value, list) else "a date or time"


def tables(model: type[Settings]) -> Iterator[tuple[str, type[BaseModel]]]:
    """Name and model of each table."""
    for name, field in model.model_fields.items():
        assert isinstance(field.annotation, type)  # noqa: S101 - holds for any class that is a Settings
        assert issubclass(field.annotation, BaseModel)  # noqa: S101
        yield name, field.annotation


def fields(model: type[Settings]) -> dict[tuple[str, str], FieldInfo]:
    """Every setting by table and key, in the order of the file."""
    return {(name, key): field for name, table in tables(model) for key, field in table.model_fields.items()}


def unit(field: FieldInfo) -> str:
    """The unit of a setting, empty if it has none."""
    return next((mark.symbol for mark in field.metadata if isinstance(mark, Unit)), "")


def meant(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str:
    """``did you mean …?`` with the nearest known word, or nothing if none has the ``likeness`` (0 to 1)."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=likeness)
    return f"; did you mean {near[0]}?" if near else ""


def _unknown(model: type[Settings], where: tuple[str, ...]) -> str:
    known = fields(model)
    if len(where) == 1:
        homes = [f"{table}.{key}" for table, key in known if key == where[0]]
        if homes:
            return f"unknown table; did you mean {' or '.join(homes)}?"
        return "unknown table" + meant(where[0], {table for table, _ in known})
    table, word = where
    near = meant(word, [key for home, key in known if home == table])
    homes = [f"{home}.{key}" for home, key in known if key == word]
    return "unknown setting" + (f"; did you mean {' or '.join(homes)}?" if homes else near)


def sentence(model: type[Settings], error: ErrorDetails) -> tuple[str, str]:
    """The setting an error of pydantic is about, ``table.key``, and the reason.

    The wrong value is quoted, since it is what the reader looks for in the file, but never that of a secret
    or of an unknown key, which may be a secret's name misspelt.
    """
    where = tuple(str(part) for part in error["loc"][:2])
    kind, value = error["type"], error["input"]
    if kind == "extra_forbidden":
        return ".".join(where), _unknown(model, where)
    if len(where) == 1:
        return where[0], f"must be a table that begins with [{where[0]}]"
    field = fields(model)[where[0], where[1]]
    facts: Mapping[str, Any] = error.get("ctx", {})
    if kind == "value_error":
        reason = str(facts["error"])
    else:
        symbol = unit(field)
        reason = _REASONS.get(kind, error["msg"]).format_map({**facts, "unit": symbol and f" {symbol}"})
    if field.annotation is not SecretStr:
        shown = quoted(value)
        reason += f", not {shown if len(shown) <= LONGEST_QUOTE else shown[:LONGEST_QUOTE] + '…'}"
    return ".".join(where), reason
