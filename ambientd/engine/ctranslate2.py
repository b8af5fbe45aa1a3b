"""A Whisper model as CTranslate2 keeps it: named arrays in one file, and the tokens beside it.

The file is read in pieces and never as a whole.  Reading it needs no CTranslate2: weights come to a box in
that form, but nothing here runs them in it.

Source: CTranslate2 binary format version 6, ``python/ctranslate2/specs/model_spec.py``.
"""

from __future__ import annotations

import json
import math
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from ambientd.errors import ModelError

_VERSION: Final = 6
_SPEC: Final = "WhisperSpec"
_TYPES: Final = MappingProxyType({0: "<f4", 1: "i1", 2: "<i2", 3: "<i4", 4: "<f2"})
_CHUNK: Final = 1 << 20
"""Values read at a time: 4 MB as float32, so that memory stays flat whatever the model's size."""

_HINT: Final = "Choose a CTranslate2 conversion of Whisper in float16 or float32, complete and undamaged."


@dataclass(frozen=True, slots=True)
class Variable:
    """One array of the file; ``offset`` is where its data start, in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int


@dataclass(frozen=True, slots=True)
class Weights:
    """An open CTranslate2 file and its table of contents."""

    name: str
    file: BinaryIO
    variables: dict[str, Variable]

    def shape(self, variable: str, axes: int | None = None) -> tuple[int, ...]:
        """Shape of an array of floating point numbers, which must have so many ``axes`` where that is given.

        Raises:
            ModelError: the file has no such array.
        """
        shape = self._find(variable, "f").shape
        if axes not in {None, len(shape)}:
            raise ModelError(f"{self.name} holds {variable} in another shape.", hint=_HINT)
        return shape

    def number(self, variable: str) -> int:
        """A whole number stored as a scalar.

        Raises:
            ModelError: the file has no such number.
        """
        found = self._find(variable, "i")
        if found.shape:
            raise ModelError(f"{self.name} holds no number at {variable}.", hint=_HINT)
        self.file.seek(found.offset)
        return int(np.frombuffer(self.file.read(found.dtype.itemsize), found.dtype)[0])

    def layers(self, side: str) -> int:
        """How many layers the ``encoder`` or ``decoder`` has."""
        names = {name.split("/")[1] for name in self.variables if name.startswith(f"{side}/layer_")}
        return len(names - {"layer_norm"})

    def rows(self, variable: str, part: int = 0, parts: int = 1) -> Iterator[npt.NDArray[np.floating]]:
        """Slice ``part`` of ``parts`` equal ones along the first axis, in pieces: float32 or float16[r, ...].

        Raises:
            ModelError: the file has no such array, or it does not split so.
        """
        found = self._find(variable, "f")
        count, left_over = divmod(found.shape[0], parts)
        if left_over:
            raise ModelError(f"{self.name} does not hold {parts} equal parts in {variable}.", hint=_HINT)
        width = math.prod(found.shape[1:])
        step = max(1, _CHUNK // width)
        for first in range(part * count, (part + 1) * count, step):
            height = min(step, (part + 1) * count - first)
            self.file.seek(found.offset + first * width * found.dtype.itemsize)
            data = self.file.read(height * width * found.dtype.itemsize)
            yield np.frombuffer(data, found.dtype).reshape(height, *found.shape[1:])

    def _find(self, variable: str, kind: str) -> Variable:
        found = self.variables.get(variable)
        if found is None or found.dtype.kind != kind:
            raise ModelError(f"{self.name} lacks {variable}, or holds it in another type.", hint=_HINT)
        return found


@contextmanager
def open_weights(path: Path) -> Iterator[Weights]:
    """A CTranslate2 Whisper file, open for reading; its structure is checked, its numbers are not.

    Raises:
        ModelError: the file is missing, of another kind, damaged, or cut short.
    """
    try:
        file = path.open("rb")
    except OSError as fault:
        raise ModelError(f"{path.name} cannot be read: {fault.strerror}.", hint=_HINT) from fault
    with file:
        yield Weights(path.name, file, _contents(file, path.name))


def _contents(file: BinaryIO, name: str) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    size = os.fstat(file.fileno()).st_size
    try:
        (version,) = _numbers(file, "<I")
        if version != _VERSION or _text(file) != _SPEC:
            raise ModelError(f"{name} is not a CTranslate2 Whisper file of version {_VERSION}.", hint=_HINT)
        _revision, count = _numbers(file, "<II")
        for _ in range(count):
            variable = _text(file)
            (rank,) = _numbers(file, "<B")
            shape = _numbers(file, f"<{rank}I")
            number, length = _numbers(file, "<BI")
            dtype = np.dtype(_TYPES[number])
            if math.prod(shape) * dtype.itemsize != length or file.tell() + length > size or 0 in shape:
                raise ModelError(f"{name} is damaged or cut short at {variable}.", hint=_HINT)
            found[variable] = Variable(shape, dtype, file.tell())
            file.seek(length, os.SEEK_CUR)
    except (struct.error, UnicodeDecodeError, KeyError) as fault:
        raise ModelError(f"{name} is not a CTranslate2 Whisper file, or is cut short.", hint=_HINT) from fault
    return found


def _numbers(file: BinaryIO, form: str) -> tuple[int, ...]:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _text(file: BinaryIO) -> str:
    (length,) = _numbers(file, "<H")
    return file.read(length).rstrip(b"\0").decode("utf-8")


def tokens(tokenizer: Path, count: int) -> list[bytes]:
    """The first ``count`` tokens of a byte-level BPE ``tokenizer.json``, as raw bytes, by token number.

    Raises:
        ModelError: the file is not such a tokenizer, or tokens are missing.
    """
    # Byte-level BPE writes each byte as one visible character: visible bytes stand for themselves, the
    # others are numbered from 256 on.  Source: GPT-2, src/encoder.py.
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = sorted(set(range(256)) - set(visible))
    byte_of = {chr(byte): byte for byte in visible} | {chr(256 + n): byte for n, byte in enumerate(hidden)}
    try:
        with tokenizer.open(encoding="utf-8") as file:
            numbered = json.load(file)["model"]["vocab"]
        texts = {number: text for text, number in numbered.items()}
        return [bytes(byte_of[letter] for letter in texts[number]) for number in range(count)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as fault:
        raise ModelError(
            f"{tokenizer.name} is not the tokenizer of this Whisper model.",
            hint="Choose the tokenizer.json that was published with the weights.",
        ) from fault
