"""What settings are made of: the base of every table, and the kinds of values that several of them have."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field


@dataclass(frozen=True, slots=True)
class Unit:
    """What a number counts, as printed behind it."""

    symbol: str


@dataclass(frozen=True, slots=True)
class Packaged:
    """The default under the packaged service, for the few settings whose default depends on the machine."""

    value: str


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def _absolute(path: Path) -> Path:
    # A relative path means one folder in a shell and another under systemd, whose working directory is "/".
    if not path.is_absolute() or "\0" in str(path):
        raise ValueError('must be an absolute path: it begins with "/"')
    return path


def _name(name: str) -> str:
    # The name becomes part of a file name, so it must not be able to leave the folder.
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", name):
        raise ValueError("must be 1 to 64 of A-Z a-z 0-9 . _ - and begin with a letter or digit")
    return name


Seconds = Annotated[float, Unit("s")]
Bytes = Annotated[int, Unit("bytes")]
Count = Annotated[int, Unit("")]
Directory = Annotated[Path, Field(strict=False), AfterValidator(_absolute)]
Name = Annotated[str, AfterValidator(_name)]
Level = Annotated[Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)]


class Table(BaseModel):
    """One table of the file.  Strict: ``port = "8000"`` is a mistake to report, not to repair."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False, use_attribute_docstrings=True
    )
