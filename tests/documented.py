"""Every answer that a test gets is held against the OpenAPI document: status, content type, and each field."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import jsonschema_rs
from aiohttp import web

from ambientd.api.document import openapi, operations


class Documented:
    """A middleware of the service under test; ``faults`` says which answers were not as the document has them."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self._document: dict[str, Any] | None = None
        self._known: dict[Any, tuple[str, str]] = {}

    def watch(self, app: web.Application) -> None:
        """Look at the answers of this application, which has not started yet."""

        @web.middleware
        async def look(
            request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
        ) -> web.StreamResponse:
            answer = await handler(request)
            self._check(app, request, answer)
            return answer

        app.middlewares.insert(0, look)

    def _check(self, app: web.Application, request: web.Request, answer: web.StreamResponse) -> None:
        if self._document is None:
            self._document = openapi(app)
            self._known = {function: (path, method) for path, method, function in operations(app)}
        place = self._known.get(request.match_info.handler)
        if place is None:
            return
        path, method = place
        told = f"{method.upper()} {path} {answer.status}"
        answers = self._document["paths"][path][method]["responses"]
        if str(answer.status) not in answers:
            self.faults.append(f"{told}: the status is not in the document")
            return
        contents = answers[str(answer.status)].get("content", {})
        if not contents:
            return
        if answer.content_type not in contents:
            self.faults.append(f"{told}: {answer.content_type} is not in the document")
        elif isinstance(answer, web.Response) and answer.content_type.endswith("json"):
            schema = {**contents[answer.content_type]["schema"], "components": self._document["components"]}
            try:
                jsonschema_rs.validate(schema, json.loads(answer.text or ""))
            except jsonschema_rs.ValidationError as error:
                self.faults.append(f"{told}: {error.message} at {list(error.instance_path)}")
