"""The settings as they can be given away: what somebody has typed freely is withheld, secrets above all."""

from __future__ import annotations

from typing import Any, Final, Literal, get_origin

from pydantic.fields import FieldInfo

from ambientd.config import Settings
from ambientd.config.faults import quoted, tables

WITHHELD: Final = "(withheld)"

PLAIN: Final = frozenset(
    {
        "server.host",
        "server.control_socket",
        "engine.model",
        "engine.language",
        "engine.vad_model",
        "store.directory",
        "models.directory",
        "models.packaged",
        "retention.schedule",
        "sync.profile",
        "sync.schedule",
        "sync.window",
        "sync.time_zone",
    }
)
"""Settings of text that a fault report needs and that name nobody; numbers, truths and choices need no listing."""


def settings_text(settings: Settings) -> str:
    """Every setting with its origin's kind; text is withheld unless it is listed or as it comes."""
    lines = []
    for table, model in tables(type(settings)):
        values = getattr(settings, table)
        lines.append(f"[{table}]")
        for key, field in model.model_fields.items():
            shown = _shown(f"{table}.{key}", field, getattr(values, key))
            lines.append(f"{key} = {shown}  # {_kind(settings.origin(table, key))}")
        lines.append("")
    return "\n".join(lines)


def _shown(name: str, field: FieldInfo, value: Any) -> str:
    bounded = isinstance(value, bool | int | float) or get_origin(field.annotation) is Literal
    if bounded or name in PLAIN or value == field.default:
        return quoted(value)
    return f"{WITHHELD[:-1]}, {len(str(value))} characters)" if name != "sync.secret" else WITHHELD


def _kind(origin: str) -> str:
    """Where a value came from, without a path that somebody chose."""
    return (
        "default" if origin.startswith("default") else origin if origin.startswith("environment ") else "file"
    )
