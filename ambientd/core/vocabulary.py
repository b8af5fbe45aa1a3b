"""The clinic's own names: medicines, procedures, people.  Read from plain text, one name a line.

    # a comment
    lisinopril
    semaglutide = sema glue tide        how else it is said, or how it is misheard
    [cardiology]
    Entresto

What stands above the first heading belongs to every speciality.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

LONGEST_NAME: Final = 60
"""Characters.  A sentence is not a name."""
MOST_WORDS: Final = 5
"""Words of one name."""
MOST_NAMES: Final = 20_000
"""Names of one list: the search through them is done for every piece."""
MOST_ALIASES: Final = 8


@dataclass(frozen=True, slots=True)
class Entry:
    """One name."""

    name: str
    """As it is to stand in the text."""
    aliases: tuple[str, ...] = ()
    """How else it is said, or misheard."""
    speciality: str = ""
    """The heading it stands under; empty above the first."""


@dataclass(frozen=True, slots=True)
class Fault:
    """A line that cannot be used, and was passed over."""

    line: int
    """Counted from 1."""
    reason: str
    """A fixed sentence, without the line's own words."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """All names of one list, in its order, each once."""

    entries: tuple[Entry, ...] = ()
    faults: tuple[Fault, ...] = ()

    @property
    def specialities(self) -> tuple[str, ...]:
        """The headings, in order."""
        return tuple(dict.fromkeys(entry.speciality for entry in self.entries if entry.speciality))

    def limited_to(self, specialities: Sequence[str]) -> Vocabulary:
        """The names of these specialities and of none; all names, where none is given."""
        if not specialities:
            return self
        wanted = {"", *(each.casefold() for each in specialities)}
        return Vocabulary(
            tuple(entry for entry in self.entries if entry.speciality.casefold() in wanted), self.faults
        )

    def with_names(self, names: Iterable[str]) -> Vocabulary:
        """These names in front of the list's own."""
        found = parse("\n".join(names))
        known = {spelling(entry.name) for entry in found.entries}
        rest = tuple(entry for entry in self.entries if spelling(entry.name) not in known)
        return Vocabulary((*found.entries, *rest), (*self.faults, *found.faults))


def spelling(name: str) -> str:
    """What two spellings of one name have in common: letters and digits, without case, spaces and hyphens."""
    return re.sub(r"[\W_]+", "", name).casefold()


def parse(text: str) -> Vocabulary:
    """The names in a list; a line that cannot be used becomes a fault, and the others count."""
    entries: list[Entry] = []
    faults: list[Fault] = []
    known: set[str] = set()
    speciality = ""
    for number, line in _lines(text):
        if heading := re.fullmatch(r"\[\s*([^\[\]]{1,60}?)\s*\]", line):
            speciality = heading[1]
            continue
        name, _, rest = line.partition("=")
        entry = Entry(_tidy(name), tuple(filter(None, map(_tidy, rest.split(",")))), speciality)
        reason = _unfit(entry) or ("stands in the list already" if spelling(entry.name) in known else None)
        if reason is None and len(entries) >= MOST_NAMES:
            reason = f"is more than the {MOST_NAMES} names a list may hold"
        if reason:
            faults.append(Fault(number, reason))
        else:
            known.add(spelling(entry.name))
            entries.append(entry)
    return Vocabulary(tuple(entries), tuple(faults))


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        content = line.partition("#")[0].strip()
        if content:
            yield number, content


def _tidy(name: str) -> str:
    return " ".join(name.split())


def _unfit(entry: Entry) -> str | None:
    """Why an entry cannot be used, as what follows "the name"."""
    for name in (entry.name, *entry.aliases):
        if not re.search(r"[^\W\d_]", name):
            return "has no letter"
        if len(name) > LONGEST_NAME or len(name.split()) > MOST_WORDS:
            return f"is longer than {LONGEST_NAME} characters or {MOST_WORDS} words"
        if re.search(r"[\x00-\x1f\x7f<>|\[\]]", name):
            return "holds a character that no name has"
    if len(entry.aliases) > MOST_ALIASES:
        return f"has more than {MOST_ALIASES} aliases"
    return None
