"""The AsyncAPI document of the WebSockets, put together from the models of their messages.

Source: https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

from ambientd import __version__
from ambientd.api.described import Model
from ambientd.api.models.messages import (
    SAID_BY_CLIENT,
    SAID_BY_SERVER,
    Announcement,
    Listening,
    Ping,
    type_of,
)
from ambientd.core.protocol import WISHED

_REF: Final = "#/components/schemas/{model}"

_AUDIO: Final = {
    "name": "audio",
    "title": "Audio",
    "summary": "A binary frame: signed 16-bit little-endian PCM, at the rate and with the channels of `connected`.",
    "contentType": "application/octet-stream",
    "payload": {"type": "string", "format": "binary"},
}

_TO_LISTENERS: Final = frozenset(
    {
        "listening",
        "transcript",
        "gap",
        "partial",
        "recording",
        "microphone",
        "error",
        "pong",
        "session_ended",
        "refined",
    }
)


@cache
def asyncapi() -> dict[str, Any]:
    """The document; made once, and not to be changed."""
    schemas: dict[str, Any] = {}
    messages: dict[str, Any] = {"audio": _AUDIO}
    sides: dict[str, tuple[type[Model], ...]] = {
        "server": (*SAID_BY_SERVER, Announcement),
        "client": SAID_BY_CLIENT,
    }
    for side, models in sides.items():
        for model in models:
            messages[_name(side, model)] = _message(model, schemas)
    spoken = [_name("server", model) for model in sides["server"] if model is not Listening]
    heard = [_name("client", model) for model in SAID_BY_CLIENT] + ["audio"]
    shown = [_name("server", model) for model in SAID_BY_SERVER if type_of(model) in _TO_LISTENERS]
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "ambientd",
            "version": __version__,
            "description": "The WebSockets; the REST interface is in /openapi.json, the rules in docs/protocol.md.",
            "license": {"name": "MIT"},
        },
        "defaultContentType": "application/json",
        "channels": {
            "transcribe": _channel(
                "/ws/transcribe",
                "A new session under an id of the box's choice.",
                [*spoken, *heard],
                {**dict.fromkeys(WISHED, _SWITCH), "ephemeral": _SWITCH, "token": _TEXT, "ticket": _TEXT},
            ),
            "transcribe_named": _channel(
                "/ws/transcribe/{session_id}",
                "A session under an id of the client's, or with ?resume=1 the one it comes back to.",
                [*spoken, *heard],
                {
                    **dict.fromkeys(WISHED, _SWITCH),
                    "ephemeral": _SWITCH,
                    "resume": _SWITCH,
                    "token": _TEXT,
                    "ticket": _TEXT,
                },
            ),
            "listen": _channel(
                "/ws/listen/{session_id}",
                "Follows a session: first what is stored, then what is said, without a gap or a double.",
                [*shown, _name("client", Ping)],
                {"partials": _SWITCH, "refined": _SWITCH, "token": _TEXT, "ticket": _TEXT},
            ),
        },
        "operations": {
            **_operations("transcribe", spoken, heard),
            **_operations("transcribe_named", spoken, heard),
            **_operations("listen", shown, [_name("client", Ping)]),
        },
        "components": {"messages": messages, "schemas": schemas},
    }


_SWITCH: Final = {"type": "string", "enum": ["1", "true", "0", "false"]}
_TEXT: Final = {"type": "string"}


def _name(side: str, model: type[Model]) -> str:
    kind = "announcement" if model is Announcement else type_of(model)
    return kind if side == "server" else f"{kind}_wanted" if kind == "session_info" else kind


def _message(model: type[Model], schemas: dict[str, Any]) -> dict[str, Any]:
    schema = model.model_json_schema(ref_template=_REF, mode="serialization")
    nested = schema.pop("$defs", {})
    schemas |= nested
    schemas[model.__name__] = schema
    kind = "announcement" if model is Announcement else type_of(model)
    return {
        "name": kind,
        "title": model.__name__,
        "summary": " ".join((model.__doc__ or "").replace("``", "`").split()),
        "payload": {"$ref": _REF.format(model=model.__name__)},
    }


def _channel(address: str, about: str, messages: list[str], query: dict[str, Any]) -> dict[str, Any]:
    channel: dict[str, Any] = {
        "address": address,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {"ws": {"method": "GET", "query": {"type": "object", "properties": query}}},
    }
    if "{session_id}" in address:
        channel["parameters"] = {"session_id": {"description": "1 to 64 of the characters A-Z a-z 0-9 . _ -"}}
    return channel


def _operations(channel: str, sent: list[str], taken: list[str]) -> dict[str, Any]:
    """What the box does on a channel: it sends, and it receives."""
    return {
        f"{channel}_{action}": {
            "action": action,
            "channel": {"$ref": f"#/channels/{channel}"},
            "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
        }
        for action, names in (("send", sent), ("receive", taken))
    }
