"""The settings of the vocabulary."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

from pydantic import AfterValidator

from ambientd.config.kinds import Table

LISTS: Final = (
    Path("/etc/ambientd/vocabulary.txt"),
    Path("/usr/share/ambientd/vocabulary.txt"),
    Path(__file__).parent.parent.parent / "config" / "vocabulary.txt",
)
"""Where the default list is, the first one that exists: the clinic's, the package's, a checkout's."""


def _file(text: str) -> str:
    if text not in {"", "default"} and (not text.startswith("/") or "\0" in text):
        raise ValueError('must be "default", empty, or an absolute path: it begins with "/"')
    return text


def _headings(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must not hold control characters")
    return text


class Vocabulary(Table):
    """Names the engine is helped to spell: medicines, procedures, people."""

    file: Annotated[str, AfterValidator(_file)] = "default"
    """Plain text, one name a line; "default" takes /etc/ambientd/vocabulary.txt if it exists, else the list that comes
    with ambientd; empty takes none."""
    specialities: Annotated[str, AfterValidator(_headings)] = ""
    """Headings of the file whose names count, with commas between; empty takes all."""

    put_in: bool = True
    """Whether a name is put into the text, marked, where sound and audio speak for it; "false" only suggests names, and
    the text has what was heard."""

    @property
    def path(self) -> Path | None:
        """The list to read; ``None`` for none."""
        if self.file != "default":
            return Path(self.file) if self.file else None
        return next((path for path in LISTS if path.is_file()), None)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The specialities, one by one."""
        return tuple(filter(None, (each.strip() for each in self.specialities.split(","))))
