"""The body of a request, as one JSON object."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from ambientd.errors import ClientError


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body of a request.

    Raises:
        ClientError: it is not one JSON object.
    """
    try:
        body = json.loads(await request.text())
    except (ValueError, RecursionError, LookupError):  # LookupError: an unknown charset
        body = None
    if not isinstance(body, dict):
        raise ClientError("bad_json", "the body must be one JSON object")
    return body


async def fields(request: web.Request, *names: str) -> dict[str, Any]:
    """The body of a request that may hold these fields; without a body there are none.

    Raises:
        ClientError: it holds another, or is not one JSON object.
    """
    if not request.can_read_body:
        return {}
    body = await json_object(request)
    if unknown := set(body) - set(names):
        raise ClientError(
            "unknown_field",
            f"{len(unknown)} fields of the body are not known",
            hint=f"Known fields: {', '.join(names)}.",
        )
    return body


def text(body: dict[str, Any], name: str, *, most: int = 1_000) -> str:
    """A field that must be text.

    Raises:
        ClientError: it is missing or something else.
    """
    value = body.get(name)
    if not isinstance(value, str) or len(value) > most:
        raise ClientError("bad_field", f"{name} must be text of at most {most} characters")
    return value
