"""The ggml file that whisper.cpp loads: written from a CTranslate2 file, and checked before anybody loads it.

whisper.cpp trusts the counts and lengths it finds in a model file: a damaged one can make it allocate
without bound.  :func:`check` walks the whole structure first, and reads no weights to do so.

Source: whisper.cpp 1.8.5, ``models/convert-pt-to-ggml.py`` and ``src/whisper.cpp`` (facts of the format).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import astuple
from pathlib import Path
from types import MappingProxyType
from typing import BinaryIO, Final, Protocol

import gguf
import numpy as np
import numpy.typing as npt
from gguf import GGMLQuantizationType as Kind

from ambientd.engine import ctranslate2
from ambientd.engine.layout import Header, Tensor, tensors
from ambientd.errors import ModelError

MAGIC: Final = 0x67676D6C
DEFAULT_QUANTISATION: Final = "q8_0"

WRITTEN: Final = MappingProxyType({"f16": 1, "q4_0": 2002, "q8_0": 2007, "q5_1": 2009, "bf16": 24})
"""``ftype`` of each form this module writes: the number of the form, plus 2000 (quantisation version 2)."""

_FFT_BINS: Final = 201

_LONGEST_TOKEN, _LONGEST_NAME, _MOST_AXES = 1024, 128, 3
"""Security limits on what a file may claim."""

_HINT: Final = "Choose a whisper.cpp model file (ggml-*.bin), complete and undamaged."


class Progress(Protocol):
    """Told how far a long step has come; ``total`` is 0 where nobody knows."""

    def __call__(self, stage: str, done: int, total: int, /) -> None:
        """``stage``: one word for the step; ``done`` and ``total`` in bytes."""


def silent(_stage: str, _done: int, _total: int, /) -> None:
    """Progress for those who need none."""


class Sink(Protocol):
    """Where bytes go, one after the other."""

    def write(self, data: bytes, /) -> object:
        """Take all of ``data``."""


def mel_filters(mels: int) -> npt.NDArray[np.float32]:
    """Triangular filters on Slaney's mel scale, each of unit area: float32[mels, 201], 16 kHz, FFT of 400.

    Source: M. Slaney, Auditory Toolbox (1998): linear below 1 kHz, then 27 logarithmic steps per factor 6.4.
    """
    step, knee = 200.0 / 3.0, 15.0
    top = knee + math.log(8000.0 / 1000.0) / (math.log(6.4) / 27.0)
    mel = np.linspace(0.0, top, mels + 2)
    edges = np.where(mel < knee, mel * step, 1000.0 * np.exp((math.log(6.4) / 27.0) * (mel - knee)))
    bins = np.linspace(0.0, 8000.0, _FFT_BINS)
    low, peak, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    triangles = np.minimum((bins - low) / (peak - low), (high - bins) / (high - peak))
    filters: npt.NDArray[np.float32] = (np.maximum(triangles, 0.0) * (2.0 / (high - low))).astype(np.float32)
    return filters


def read_header(path: Path) -> Header:
    """The header of a ggml Whisper file; says nothing about the rest of it.

    Raises:
        ModelError: the file cannot be read, or is not a Whisper model.
    """
    with _opened(path) as file:
        return _header(file, path.name)


def check(path: Path, shown: str = "") -> Header:
    """The header of a ggml Whisper file that is whole: every tensor there, and nothing after the last one.

    ``shown``: what messages call the file, instead of its name.  Reads a few hundred kilobytes, no weights;
    flipped bits inside the weights are what checksums are for.

    Raises:
        ModelError: the file cannot be read, is not a Whisper model, or is damaged or cut short.
    """
    shown = shown or path.name
    with _opened(path) as file:
        header = _header(file, shown)
        size = os.fstat(file.fileno()).st_size
        try:
            fault = _fault_after_header(file, header, size)
        except struct.error:
            fault = "it ends too early"
    if fault:
        raise ModelError(f"{shown} is damaged or incomplete: {fault}.", hint=_HINT)
    return header


def _opened(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except OSError as fault:
        raise ModelError(f"{path.name} cannot be read: {fault.strerror}.", hint=_HINT) from fault


def _numbers(file: BinaryIO, count: int) -> tuple[int, ...]:
    return struct.unpack(f"<{count}i", file.read(4 * count))


def _header(file: BinaryIO, name: str) -> Header:
    try:
        magic, *numbers = _numbers(file, 12)
    except struct.error as fault:
        raise ModelError(f"{name} is too short for a Whisper model.", hint=_HINT) from fault
    if magic != MAGIC:
        raise ModelError(f"{name} is not a ggml file.", hint=_HINT)
    header = Header(*numbers)
    if implausible := header.fault():
        raise ModelError(f"{name} is not a Whisper model: it claims {implausible}.", hint=_HINT)
    return header


def _fault_after_header(file: BinaryIO, header: Header, size: int) -> str:
    """What is wrong with the rest of the file, or nothing; ``struct.error`` where it ends too early."""
    if _numbers(file, 2) != (header.mels, _FFT_BINS):
        return "its mel filters have another size"
    file.seek(4 * header.mels * _FFT_BINS, os.SEEK_CUR)
    (count,) = _numbers(file, 1)
    if count != header.tokens:
        return f"it holds {count} tokens instead of {header.tokens}"
    for _ in range(count):
        (length,) = _numbers(file, 1)
        if not 0 <= length <= _LONGEST_TOKEN:
            return "its tokens are garbled"
        file.seek(length, os.SEEK_CUR)
    # Any order is good: whisper.cpp finds tensors by name, and other converters order them otherwise.
    missing = {tensor.name: tensor for tensor in tensors(header)}
    while missing and file.tell() < size:
        expected = missing.pop(_tensor_name(file, missing), None)
        if expected is None:
            return "a tensor is unknown, doubled, or of another shape or type"
        file.seek(expected.bytes, os.SEEK_CUR)
    if missing:
        return f"{len(missing)} tensors are missing"
    return "" if file.tell() == size else "it does not end where its last tensor does"


def _tensor_name(file: BinaryIO, expected: Mapping[str, Tensor]) -> str:
    """Name of the tensor described next; empty when the description is not as expected."""
    rank, length, kind = _numbers(file, 3)
    if not (0 < rank <= _MOST_AXES and 0 < length <= _LONGEST_NAME):
        return ""
    shape = _numbers(file, rank)[::-1]
    name = file.read(length).decode("ascii", "replace")
    tensor = expected.get(name)
    return name if tensor is not None and (tensor.shape, int(tensor.kind)) == (shape, kind) else ""


def convert(
    weights: Path,
    tokenizer: Path,
    target: Sink,
    quantisation: str = DEFAULT_QUANTISATION,
    progress: Progress = silent,
) -> Header:
    """Write a CTranslate2 Whisper model as a ggml file; memory stays within some tens of megabytes.

    ``target`` is written from front to back; making it durable is the caller's part.

    Raises:
        ModelError: the weights or tokens are not Whisper's, or ``quantisation`` is not in :data:`WRITTEN`.
    """
    if quantisation not in WRITTEN:
        raise ModelError(
            f"{quantisation} is no known quantisation.", hint=f"Choose one of {', '.join(WRITTEN)}."
        )
    with ctranslate2.open_weights(weights) as source:
        header = _header_of(source, WRITTEN[quantisation])
        target.write(struct.pack("<12i", MAGIC, *astuple(header)))
        target.write(struct.pack("<2i", header.mels, _FFT_BINS))
        target.write(mel_filters(header.mels).tobytes())
        target.write(struct.pack("<i", header.tokens))
        tokens = ctranslate2.tokens(tokenizer, header.tokens)
        target.write(b"".join(struct.pack("<i", len(token)) + token for token in tokens))
        layout = list(tensors(header))
        total, done = sum(tensor.bytes for tensor in layout), 0
        for tensor in layout:
            _write(source, tensor, target)
            done += tensor.bytes
            progress("convert", done, total)
    return header


def _header_of(source: ctranslate2.Weights, ftype: int) -> Header:
    vocabulary, text_state = source.shape("decoder/embeddings/weight", 2)
    audio_context, audio_state = source.shape("encoder/position_encodings/encodings", 2)
    header = Header(
        vocabulary=vocabulary,
        audio_context=audio_context,
        audio_state=audio_state,
        audio_heads=source.number("encoder/num_heads"),
        audio_layers=source.layers("encoder"),
        text_context=source.shape("decoder/position_encodings/encodings", 2)[0],
        text_state=text_state,
        text_heads=source.number("decoder/num_heads"),
        text_layers=source.layers("decoder"),
        mels=source.shape("encoder/conv1/weight", 3)[1],
        ftype=ftype,
    )
    if implausible := header.fault():
        raise ModelError(f"{source.name} is not a Whisper model: it claims {implausible}.", hint=_HINT)
    return header


_SCALED: Final = frozenset({Kind.Q8_0, Kind.Q5_1, Kind.Q4_0})
"""Kinds that store a scale for each block of 32 numbers."""
_NEGLIGIBLE: Final = 2.0**-24
"""The smallest float16 above zero."""


def _write(source: ctranslate2.Weights, tensor: Tensor, target: Sink) -> None:
    stacked = source.shape(tensor.origin)
    # The axis of length one of a convolution's bias exists in ggml only.
    if (
        math.prod(stacked) != math.prod(tensor.shape) * tensor.parts
        or stacked[1:] != tensor.shape[1 : len(stacked)]
    ):
        raise ModelError(f"{source.name} holds {tensor.origin} in another shape.", hint=_HINT)
    if tensor.name.endswith(".key.weight"):
        _require_no_key_bias(source, tensor)
    name = tensor.name.encode("ascii")
    target.write(struct.pack("<3i", len(tensor.shape), len(name), int(tensor.kind)))
    target.write(struct.pack(f"<{len(tensor.shape)}i", *reversed(tensor.shape)))
    target.write(name)
    for rows in source.rows(tensor.origin, tensor.part, tensor.parts):
        wide = rows if tensor.kind == Kind.F16 else rows.astype(np.float32)
        if tensor.kind in _SCALED:
            # gguf divides by the block's scale, which overflows for such numbers; their scale is stored as a float16
            # and would be zero in the file all the same.
            wide[np.abs(wide) < _NEGLIGIBLE] = 0
        target.write(gguf.quantize(wide, tensor.kind).tobytes())


def _require_no_key_bias(source: ctranslate2.Weights, tensor: Tensor) -> None:
    """Refuse a bias on the keys: ggml has no place for it, and CTranslate2 keeps zeros in its own."""
    origin = tensor.origin.removesuffix("weight") + "bias"
    if any(rows.any() for rows in source.rows(origin, tensor.part, tensor.parts)):
        raise ModelError(f"{source.name} has a bias on its keys, which Whisper never has.", hint=_HINT)
