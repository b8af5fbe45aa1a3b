"""Words a Whisper model knows as such: those its vocabulary has a token of their own for.

They are the commonest in what it was trained on, and it spells them without help; a medicine takes three to eight
tokens.  Read from the head of the ggml file, without loading the model.

Source: whisper.cpp 1.8.5, ``models/convert-pt-to-ggml.py`` (the file's layout).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from ambientd.errors import ModelError

_MAGIC: Final = 0x67676D6C
_NUMBERS: Final = 11
_MOST_TOKENS, _LONGEST_TOKEN, _MOST_FILTERS = 100_000, 1024, 1 << 20
"""Limits on what a file may claim."""


def ordinary_words(path: Path) -> frozenset[str]:
    """The words in lower case: some 20,000.

    Raises:
        ModelError: the file cannot be read, or is no Whisper model.
    """
    try:
        with path.open("rb") as file:
            return frozenset(
                token[1:].decode("ascii").lower()
                for token in _tokens(file)
                if token.startswith(b" ") and token[1:].isalpha() and token.isascii()
            )
    except (OSError, ValueError, struct.error) as fault:
        raise ModelError(
            f"the words of {path.name} cannot be read ({type(fault).__name__})",
            hint="Check it: ambientctl model verify",
        ) from fault


def _tokens(file: BinaryIO) -> Iterator[bytes]:
    magic, *_ = struct.unpack(f"<{1 + _NUMBERS}i", file.read(4 * (1 + _NUMBERS)))
    rows, columns = struct.unpack("<2i", file.read(8))
    if magic != _MAGIC or not 0 <= rows * columns <= _MOST_FILTERS:
        raise ValueError("no Whisper model")
    file.seek(4 * rows * columns, 1)
    (count,) = struct.unpack("<i", file.read(4))
    if not 0 <= count <= _MOST_TOKENS:
        raise ValueError("no list of tokens")
    for _ in range(count):
        (length,) = struct.unpack("<i", file.read(4))
        if not 0 <= length <= _LONGEST_TOKEN:
            raise ValueError("no token")
        yield file.read(length)
