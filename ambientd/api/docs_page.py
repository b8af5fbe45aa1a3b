"""The two documents as one page to read: no script, no request to anybody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any, Final

STYLE: Final = """\
:root { color-scheme: light dark; background: canvas; color: canvastext; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1, h2 { line-height: 1.2; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid; }
details { margin: .4rem 0; border: 1px solid color-mix(in srgb, currentColor 25%, transparent); border-radius: .4rem; }
summary { padding: .5rem .75rem; cursor: pointer; }
details > div { padding: 0 .75rem .75rem; }
code { font-family: ui-monospace, monospace; font-size: .9em; }
.verb { display: inline-block; min-width: 4.5rem; font-weight: 700; }
.about { opacity: .8; }
table { border-collapse: collapse; width: 100%; }
td, th { text-align: left; vertical-align: top; padding: .2rem .75rem .2rem 0; }
"""


def page(rest: Mapping[str, Any], sockets: Mapping[str, Any]) -> str:
    """The page as HTML."""
    return "".join(_parts(rest, sockets))


def _parts(rest: Mapping[str, Any], sockets: Mapping[str, Any]) -> Iterator[str]:
    title = f"{rest['info']['title']} {rest['info']['version']}"
    yield (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(title)}</title><link rel="stylesheet" href="/docs.css"></head><body><main>'
        f"<h1>{escape(title)}</h1><p>What programs can ask of this box. For programs:"
        ' <a href="/openapi.json">OpenAPI</a>, <a href="/asyncapi.json">AsyncAPI</a>.</p>'
    )
    rooms: dict[str, list[tuple[str, str, Mapping[str, Any]]]] = {}
    for path, methods in rest["paths"].items():
        for method, operation in methods.items():
            rooms.setdefault(operation["tags"][0], []).append((path, method, operation))
    for room, operations in sorted(rooms.items()):
        yield f"<h2>{escape(room)}</h2>"
        for path, method, operation in operations:
            yield from _operation(path, method, operation)
    yield "<h2>WebSockets</h2>"
    for channel in sockets["channels"].values():
        yield (
            f"<details><summary><code>{escape(channel['address'])}</code>"
            f' <span class="about">{escape(channel["description"])}</span></summary><div>'
        )
        yield from _messages(channel, sockets)
        yield "</div></details>"
    yield "<h2>Shapes</h2>"
    schemas = {**sockets["components"]["schemas"], **rest["components"]["schemas"]}
    for name, schema in sorted(schemas.items()):
        about = escape(" ".join(str(schema.get("description", "")).split()))
        yield (
            f'<details id="{escape(name)}"><summary><code>{escape(name)}</code>'
            f' <span class="about">{about}</span></summary><div>'
        )
        yield from _fields(schema)
        yield "</div></details>"
    yield "</main></body></html>"


def _operation(path: str, method: str, operation: Mapping[str, Any]) -> Iterator[str]:
    yield (
        f'<details><summary><span class="verb">{escape(method.upper())}</span><code>{escape(path)}</code>'
        f' <span class="about">{escape(operation["summary"])}</span></summary><div>'
        f"<p>{escape(operation['description'])}</p>"
    )
    if allowed := operation.get("x-permissions"):
        yield f"<p>For whoever may: {escape(', '.join(allowed))}.</p>"
    if parameters := operation["parameters"]:
        yield "<table><tr><th>parameter</th><th>in</th><th>shape</th><th></th></tr>"
        for each in parameters:
            yield _row(
                each["name"], escape(each["in"]), _shape(each["schema"]), escape(each.get("description", ""))
            )
        yield "</table>"
    yield "<table><tr><th></th><th>content</th><th>shape</th></tr>"
    for kind, content in operation.get("requestBody", {}).get("content", {}).items():
        yield _row("body", escape(kind), _shape(content["schema"]))
    for status, answer in operation["responses"].items():
        contents = answer.get("content", {})
        for kind, content in contents.items():
            yield _row(status, escape(kind), _shape(content["schema"]))
        if not contents:
            yield _row(status, escape(answer["description"]), "")
    yield "</table></div></details>"


def _messages(channel: Mapping[str, Any], sockets: Mapping[str, Any]) -> Iterator[str]:
    yield "<table><tr><th>message</th><th>shape</th><th></th></tr>"
    for name in channel["messages"]:
        message = sockets["components"]["messages"][name]
        yield _row(message["name"], _shape(message["payload"]), escape(message["summary"]))
    yield "</table>"


def _fields(schema: Mapping[str, Any]) -> Iterator[str]:
    if "properties" not in schema:
        yield f"<p>{_shape(schema)}</p>"
        return
    yield "<table>"
    needed = schema.get("required", ())
    for name, about in schema["properties"].items():
        optional = "" if name in needed else "optional"
        yield _row(name, _shape(about), optional, escape(" ".join(str(about.get("description", "")).split())))
    yield "</table>"


def _row(name: str, *cells: str) -> str:
    return f"<tr><td><code>{escape(name)}</code></td>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _shape(schema: Mapping[str, Any]) -> str:
    """A schema in a few words, with links to the named ones."""
    if "$ref" in schema:
        name = escape(str(schema["$ref"]).rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "anyOf" in schema:
        return " or ".join(_shape(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(escape(str(each)) for each in schema["enum"])
    if "const" in schema:
        return escape(str(schema["const"]))
    if schema.get("type") == "array":
        return f"list of {_shape(schema.get('items', {}))}"
    limits = [
        f"{key} {schema[key]}" for key in ("minimum", "maximum", "minLength", "maxLength") if key in schema
    ]
    kind = schema.get("format") or schema.get("type") or "anything"
    return escape(", ".join([str(kind), *limits]))
