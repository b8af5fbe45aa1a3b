"""What a route takes and gives, declared beside it: the OpenAPI document is put together from these declarations.

    @routes.get("/api/v1/status")
    @allows(Permission.SEE_BOX)
    @described(BoxStatus)
    async def status(request: web.Request) -> web.Response: ...

The models are strict: a field that is answered and not declared is a fault, which the tests find at every answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, WithJsonSchema

JSON: Final = "application/json"
FORM: Final = "multipart/form-data"
OCTETS: Final = "application/octet-stream"

_MARK: Final = "ambientd_described"
_PAGE: Final = "ambientd_page"

F = TypeVar("F", bound=Callable[..., Any])


class Model(BaseModel):
    """The shape of a body, an answer or a query."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)


class Told(Model):
    """Why something was not done."""

    detail: str
    """For people: what happened and what to do."""
    code: str
    """For programs; it stays the same."""


Binary = Annotated[bytes, WithJsonSchema({"type": "string", "format": "binary"})]
"""A file."""

PlainText = Annotated[str, WithJsonSchema({"type": "string"})]
"""Text that is not JSON."""


@dataclass(frozen=True, slots=True)
class Description:
    """What a route takes and gives."""

    answers: Mapping[int, Mapping[str, Any]]
    """HTTP status -> content type -> model; an empty mapping has no body."""
    body: Mapping[str, Any] = field(default_factory=dict)
    """Content type -> model of the request's body."""
    body_required: bool = True
    query: type[Model] | None = None
    errors: frozenset[int] = frozenset()
    """Statuses of errors besides those any such route may give."""
    error: type[BaseModel] = Told


def described(
    answer: Any = None,
    *,
    status: int = 200,
    content: str | Mapping[str, Any] = JSON,
    body: Any = None,
    body_content: str | Mapping[str, Any] = JSON,
    body_required: bool = True,
    query: type[Model] | None = None,
    errors: tuple[int, ...] = (),
    also: Mapping[int, Any] | None = None,
    error: type[BaseModel] = Told,
) -> Callable[[F], F]:
    """Declares the model of a route's ``answer`` and ``body``.

    ``content``, ``body_content``: a content type, or content types with the model of each, which takes the place of
    ``answer`` and ``body``.  ``also``: further statuses that are no errors, with the models of their JSON.
    """
    given = content if isinstance(content, Mapping) else {} if answer is None else {content: answer}
    answers: dict[int, Mapping[str, Any]] = {status: given}
    for other, model in (also or {}).items():
        answers[other] = {JSON: model}
    taken = (
        body_content if isinstance(body_content, Mapping) else {} if body is None else {body_content: body}
    )
    found = Description(
        answers=answers,
        body=taken,
        body_required=body_required,
        query=query,
        errors=frozenset(errors),
        error=error,
    )

    def declare(function: F) -> F:
        vars(function)[_MARK] = found
        return function

    return declare


def description(function: object) -> Description | None:
    """What a route declares."""
    found = getattr(function, _MARK, None)
    return found if isinstance(found, Description) else None


def static(function: F) -> F:
    """Marks a route as a file of the pages: the document is about what programs ask for."""
    vars(function)[_PAGE] = True
    return function


def is_static(function: object) -> bool:
    """Whether a route only gives a file of the pages."""
    return getattr(function, _PAGE, False) is True
