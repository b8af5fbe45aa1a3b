"""The pages: read once, kept compressed in memory, told apart by what is in them.

No path that a client makes up ever reaches the file system, and a tablet that has a file is sent it no second time.
"""

from __future__ import annotations

import gzip
import hashlib
import mimetypes
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import hdrs, web

from ambientd.api.access import Answer, open_to_all
from ambientd.api.described import static

FRONT: Final = "index.html"
"""The page at ``/``."""

WORTH: Final = 0.9
"""A file that does not get smaller than this share of itself is sent as it is."""


@dataclass(frozen=True, slots=True)
class Page:
    """One file, ready to be sent."""

    plain: bytes
    packed: bytes | None
    kind: str
    tag: str


def routes(folder: Path, headers: Mapping[str, str]) -> Iterable[web.AbstractRouteDef]:
    """A route for each file there is now; ``headers`` go with every answer."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name, answer = path.relative_to(folder).as_posix(), _answer(_read(path), headers)
            yield web.get(f"/{name}", answer)
            if name == FRONT:
                yield web.get("/", answer)


def _read(path: Path) -> Page:
    plain = path.read_bytes()
    packed = gzip.compress(plain, mtime=0)
    kind, _ = mimetypes.guess_type(path.name)
    text = (kind or "").startswith("text/") or kind == "application/javascript"
    return Page(
        plain,
        packed if len(packed) < WORTH * len(plain) else None,
        f"{kind or 'application/octet-stream'}{'; charset=utf-8' if text else ''}",
        hashlib.sha256(plain).hexdigest()[:32],
    )


def _answer(page: Page, headers: Mapping[str, str]) -> Answer:
    @static
    @open_to_all
    async def answer(request: web.Request) -> web.StreamResponse:
        told = {**headers, hdrs.ETAG: f'"{page.tag}"', hdrs.VARY: hdrs.ACCEPT_ENCODING}
        if any(known.value == page.tag for known in request.if_none_match or ()):
            return web.Response(status=304, headers=told)
        told[hdrs.CONTENT_TYPE] = page.kind
        if page.packed is None or "gzip" not in request.headers.get(hdrs.ACCEPT_ENCODING, ""):
            return web.Response(body=page.plain, headers=told)
        return web.Response(body=page.packed, headers={**told, hdrs.CONTENT_ENCODING: "gzip"})

    return answer
