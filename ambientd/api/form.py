"""A recording in a form: the file as it comes, and the text fields beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import BodyPartReader, web
from aiohttp.http_exceptions import HttpProcessingError

from ambientd.api.services import Transfer
from ambientd.errors import ClientError

CHUNK: Final = 65_536
"""Bytes taken from a body at once."""

LONGEST_FIELD: Final = 65_536
"""Bytes of a text field."""


async def take_form(
    request: web.Request, transfer: Transfer, note: Callable[[BodyPartReader], Awaitable[None]]
) -> None:
    """Pass the part ``file`` of a form on as it comes, and every other part to ``note``, which takes what it wants.

    Raises:
        ClientError: it is no form, or not one with one file; or what ``note`` refuses.
    """
    files = 0
    try:
        async for part in await request.multipart():
            if not isinstance(part, BodyPartReader):
                raise ClientError("bad_form", "the form holds a form")
            if part.name == "file":
                files += 1
                while chunk := await part.read_chunk(CHUNK):
                    await transfer.write(chunk)
            else:
                await note(part)
    except (ValueError, HttpProcessingError):
        raise ClientError("bad_form", "the body is not the form that its type says") from None
    if files != 1:
        raise ClientError(
            "bad_form", "the form must hold one part named file", hint="The recording goes there."
        )


async def text_of(part: BodyPartReader) -> str:
    """A text field of a form.

    Raises:
        ClientError: it is too long.
        ValueError: it is not UTF-8.
    """
    raw = b""
    while chunk := await part.read_chunk():
        raw += chunk
        if len(raw) > LONGEST_FIELD:
            raise ClientError("bad_field", f"a field holds at most {LONGEST_FIELD} bytes")
    return raw.decode("utf-8")
