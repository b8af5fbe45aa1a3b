"""The clinic's own questions, from a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

from ambientd.core.answers import CATEGORIES, Question
from ambientd.errors import OperatorError


def _category(name: str) -> str:
    if name not in CATEGORIES:
        raise ValueError(f"is not one of {', '.join(CATEGORIES)}")
    return name


class _Question(BaseModel):
    model_config = ConfigDict(extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    question: Annotated[str, StringConstraints(min_length=3, max_length=500)]
    category: Annotated[str, AfterValidator(_category)]


def own_questions(path: Path) -> list[Question]:
    """The questions in a JSON file: ``[{"id", "question", "category"}]``.

    Raises:
        OperatorError: it cannot be read or is not of that form.
    """
    try:
        given = TypeAdapter(list[_Question]).validate_python(json.loads(path.read_text(encoding="utf-8-sig")))
    except OSError as error:
        raise OperatorError(
            f"the questions in {path} cannot be read: {os.strerror(error.errno or 0)}.",
            hint="Correct sync.questions_file.",
        ) from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(step) for step in first["loc"])
        raise OperatorError(
            f"the questions in {path} are not right at {place}: {first['msg']}.",
            hint='Each is {"id": …, "question": …, "category": …}; see docs/sync.md.',
        ) from error
    except ValueError as error:
        raise OperatorError(f"the questions in {path} are not JSON.", hint="See docs/sync.md.") from error
    if len({each.id for each in given}) < len(given):
        raise OperatorError(f"two questions in {path} have the same id.", hint="Ids are used once.")
    return [Question(each.id, each.question, each.category) for each in given]
