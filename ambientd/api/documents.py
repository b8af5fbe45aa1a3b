"""What programs can ask of the box, for programs and for people: OpenAPI, AsyncAPI, and a page made from both."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ambientd.api.access import anybody_known
from ambientd.api.asyncapi import asyncapi
from ambientd.api.described import JSON, PlainText, described
from ambientd.api.docs_page import STYLE, page
from ambientd.api.document import openapi

routes = web.RouteTableDef()

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'none'; form-action 'none'; base-uri 'none';"
        " frame-ancestors 'none'"
    ),
    "Cache-Control": "no-cache",
}


@routes.get("/openapi.json")
@anybody_known
@described(content={JSON: dict[str, Any]})
async def rest(request: web.Request) -> web.Response:
    """The OpenAPI 3.1 document of the REST interface."""
    return web.json_response(openapi(request.app))


@routes.get("/asyncapi.json")
@anybody_known
@described(content={JSON: dict[str, Any]})
async def sockets(_request: web.Request) -> web.Response:
    """The AsyncAPI 3 document of the WebSockets."""
    return web.json_response(asyncapi())


@routes.get("/docs")
@anybody_known
@described(content={"text/html": PlainText})
async def docs(request: web.Request) -> web.Response:
    """Both as a page to read."""
    text = page(openapi(request.app), asyncapi())
    return web.Response(text=text, content_type="text/html", charset="utf-8", headers=_HEADERS)


@routes.get("/docs.css")
@anybody_known
@described(content={"text/css": PlainText})
async def style(_request: web.Request) -> web.Response:
    """What the page looks like."""
    return web.Response(text=STYLE, content_type="text/css", charset="utf-8", headers=_HEADERS)
