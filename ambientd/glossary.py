"""The clinic's list of names in force: read from its file at the start, and again when the operator says so."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Final

from ambientd.core.suspects import Index, Search
from ambientd.core.vocabulary import Vocabulary, parse
from ambientd.errors import OperatorError

logger = logging.getLogger(__name__)

LARGEST_LIST: Final = 4 * 2**20
"""Bytes."""


class Glossary:
    """Sessions take :attr:`search` when they open, and keep it."""

    def __init__(self, path: Path | None, *, specialities: Sequence[str], ordinary: AbstractSet[str]) -> None:
        """``path``: the list; ``None`` for none.  ``ordinary``: see :class:`Search`.

        Raises:
            OperatorError: the list cannot be read, or has none of the ``specialities``.
        """
        self._path = path
        self._specialities = specialities
        self._ordinary = ordinary
        self.vocabulary = Vocabulary()
        self.search = Search()
        self.reload()

    def follow(self, path: Path | None, specialities: Sequence[str]) -> None:
        """Another list, or others of its specialities, from now on; also read again if it is the same.

        Raises:
            OperatorError: as :meth:`reload`; what was in force stays.
        """
        before = self._path, self._specialities
        self._path, self._specialities = path, specialities
        try:
            self.reload()
        except OperatorError:
            self._path, self._specialities = before
            raise

    def reload(self) -> None:
        """Reads the list again; takes a tenth of a second for a thousand names.

        Raises:
            OperatorError: it cannot be read; what was in force stays.
        """
        if self._path is None:
            self.vocabulary, self.search = Vocabulary(), Search()
            return
        whole = read_list(self._path)
        known = {each.casefold() for each in whole.specialities}
        if unknown := [each for each in self._specialities if each.casefold() not in known]:
            raise OperatorError(
                f"the vocabulary {self._path.name} has no heading [{unknown[0]}]",
                hint=f"It has: {', '.join(whole.specialities) or 'none'}. Change vocabulary.specialities.",
            )
        vocabulary = whole.limited_to(self._specialities)
        self.search = Search((Index(vocabulary),), self._ordinary)
        self.vocabulary = vocabulary
        logger.info("vocabulary read", extra={"file": self._path, "count": len(vocabulary.entries)})
        if whole.faults:
            logger.warning(
                "lines of the vocabulary cannot be used: ambientctl vocabulary check tells which",
                extra={"file": self._path, "count": len(whole.faults)},
            )


def read_list(path: Path) -> Vocabulary:
    """The names in a file.

    Raises:
        OperatorError: it cannot be read.
    """
    try:
        if path.stat().st_size > LARGEST_LIST:
            raise OperatorError(
                f"the vocabulary {path.name} is larger than {LARGEST_LIST >> 20} MB",
                hint="It is a plain text with one name a line: set vocabulary.file to such a file.",
            )
        return parse(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as fault:
        reason = fault.strerror if isinstance(fault, OSError) else "it is not UTF-8 text"
        raise OperatorError(
            f"the vocabulary {path} cannot be read: {reason}",
            hint='Set vocabulary.file to a plain text file, or to "" for none.',
        ) from fault
