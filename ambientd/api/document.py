"""The OpenAPI document, put together from the routes and what they declare: nothing in it is kept by hand.

Source: https://spec.openapis.org/oas/v3.1.0
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from http import HTTPStatus
from inspect import cleandoc
from typing import Any, Final

from aiohttp import web
from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode

from ambientd import __version__
from ambientd.api.access import Need, need
from ambientd.api.described import JSON, Description, description, is_static
from ambientd.api.showing import COOKIES
from ambientd.core.access import Permission

TITLE: Final = "ambientd"

ALWAYS: Final = (400, 404, 413, 421, 429, 503)
"""Errors that any route may give: a request that is none, too big, meant for another host, one too many; no store."""

GUARDED: Final = (401, 403, 423)
"""Errors of a route that asks who calls: nobody known, not his to do, locked."""

_WEBSOCKETS: Final = ("/ws/",)
_REF: Final = "#/components/schemas/{model}"
_BLANK: Final = Description(answers={200: {}})

_SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "A token of the box."},
    "browser": {
        "type": "apiKey",
        "in": "cookie",
        "name": f"__Host-{COOKIES[0]}",
        "description": "The cookie of somebody who has logged in with a browser; a paired tablet has one of its own.",
    },
}


def operations(app: web.Application) -> Iterator[tuple[str, str, Any]]:
    """Path, method and function of every route that is neither a page nor a WebSocket."""
    for route in app.router.routes():
        resource = route.resource
        if resource is None or route.method in {"HEAD", "OPTIONS", "*"}:
            continue
        path = resource.canonical
        if not path.startswith(_WEBSOCKETS) and not is_static(route.handler):
            yield path, route.method.lower(), route.handler


def openapi(app: web.Application) -> dict[str, Any]:
    """The document for this application's routes; made once for those routes, and not to be changed."""
    return _document(tuple(operations(app)))


@lru_cache(maxsize=2)
def _document(routes: tuple[tuple[str, str, Any], ...]) -> dict[str, Any]:
    schemas = _Schemas()
    paths: dict[str, dict[str, Any]] = {}
    named: set[str] = set()
    for path, method, function in routes:
        operation = _operation(path, function, schemas)
        # A function may answer at two paths: the second one's name says at which.
        if (name := operation["operationId"]) in named:
            operation["operationId"] = name = f"{name}_{'_'.join(re.findall(r'[a-z]+', path))}"
        named.add(name)
        paths.setdefault(path, {})[method] = operation
    return {
        "openapi": "3.1.0",
        "info": {
            "title": TITLE,
            "version": __version__,
            "description": "Live speech to text for the exam room. The WebSockets are in /asyncapi.json.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": "/"}],
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": schemas.found, "securitySchemes": _SECURITY},
    }


class _Schemas:
    """The models met so far."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    def of(self, model: Any, mode: JsonSchemaMode) -> dict[str, Any]:
        """The schema of a model, by reference if it has a name."""
        schema = TypeAdapter(model).json_schema(
            ref_template=_REF, mode=mode, schema_generator=GenerateJsonSchema
        )
        self.keep(schema.pop("$defs", {}))
        if isinstance(model, type) and issubclass(model, BaseModel):
            self.keep({model.__name__: schema})
            return {"$ref": _REF.format(model=model.__name__)}
        return schema

    def keep(self, schemas: Mapping[str, Any]) -> None:
        """Notes models by their names, of which there must be no two."""
        for name, schema in schemas.items():
            if self.found.setdefault(name, schema) != schema:
                raise TypeError(f"two models are called {name}")


def _operation(path: str, function: Any, schemas: _Schemas) -> dict[str, Any]:
    told = description(function) or _BLANK
    asked = need(function) or Need(())
    about = cleandoc(function.__doc__ or "").replace("``", "`")
    names = re.findall(r"\{(\w+)\}", path)
    answers: dict[str, Any] = {
        str(status): _answer(status, content, schemas) for status, content in told.answers.items()
    }
    errors = {*ALWAYS, *told.errors, *(GUARDED if asked.permissions else ())}
    for status in sorted(errors - told.answers.keys()):
        answers[str(status)] = _answer(status, {JSON: told.error}, schemas)
    room = function.__module__.rpartition(".")[2]
    operation: dict[str, Any] = {
        "operationId": f"{room}_{function.__name__}",
        "summary": about.partition("\n")[0],
        "description": about,
        "tags": [room],
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _NAME} for name in names),
            *_query(told.query, schemas),
        ],
        "responses": dict(sorted(answers.items())),
    }
    if told.body:
        operation["requestBody"] = {
            "required": told.body_required,
            "content": {
                kind: {"schema": schemas.of(model, "validation")} for kind, model in told.body.items()
            },
        }
    if asked.permissions:
        operation["security"] = [{"token": []}, {"browser": []}]
        if len(asked.permissions) < len(Permission):  # else it is for anybody who is known
            operation["x-permissions"] = list(asked.permissions)
    return operation


_NAME: Final = {"type": "string", "minLength": 1}


def _answer(status: int, content: Mapping[str, Any], schemas: _Schemas) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if content:
        answer["content"] = {
            kind: {"schema": schemas.of(model, "serialization")} for kind, model in content.items()
        }
    return answer


def _query(model: type[BaseModel] | None, schemas: _Schemas) -> Iterator[dict[str, Any]]:
    if model is None:
        return
    schema = model.model_json_schema(ref_template=_REF)
    schemas.keep(schema.pop("$defs", {}))
    for name, about in schema["properties"].items():
        # A parameter is there or not: null is for JSON.
        choices = [each for each in about.get("anyOf", []) if each.get("type") != "null"]
        kept = {key: value for key, value in about.items() if key not in {"anyOf", "default", "title"}}
        shape = {**kept, **choices[0]} if choices else kept
        explained = shape.pop("description", "")
        yield {
            "name": name,
            "in": "query",
            "required": name in schema.get("required", ()),
            "description": explained,
            "schema": shape,
        }
