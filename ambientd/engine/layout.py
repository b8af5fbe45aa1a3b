"""What a Whisper model consists of: eleven numbers, and the tensors that follow from them.

One table, :func:`tensors`, says which weights there are, in which shape and of which type.  Writing a model
file follows it and checking one compares with it, so the two cannot drift apart.

Source: whisper.cpp 1.8.5, ``src/whisper.cpp`` (names, shapes and types it expects of a model file).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import gguf
from gguf import GGMLQuantizationType as Kind

_KINDS: Final = MappingProxyType(
    {
        0: Kind.F32,
        1: Kind.F16,
        2: Kind.Q4_0,
        3: Kind.Q4_1,
        7: Kind.Q8_0,
        8: Kind.Q5_0,
        9: Kind.Q5_1,
        10: Kind.Q2_K,
        11: Kind.Q3_K,
        12: Kind.Q4_K,
        13: Kind.Q5_K,
        14: Kind.Q6_K,
        24: Kind.BF16,
    }
)
"""Tensor type of the large matrices for each ``ftype``.  Source: ``enum ggml_ftype`` in ggml.h."""

_QUANTISATION_VERSION: Final = 1000
"""``ftype`` is the version of the quantisation times this, plus the form.  Source: ggml.h."""

_VOCABULARIES: Final = (51864, 51865, 51866)
"""English only, multilingual, with Cantonese: whisper.cpp derives the special tokens from this number."""

_CONTEXTS: Final = (1500, 448)
"""Positions of the encoder and of the decoder, the same in every size of Whisper."""

_MELS: Final = (80, 128)
_WIDEST, _DEEPEST = 4096, 64
"""Security limits on what a file may claim; the largest Whisper has a state of 1280 and 32 layers."""


@dataclass(frozen=True, slots=True)
class Header:
    """The eleven numbers at the start of a ggml Whisper file, in the file's order."""

    vocabulary: int
    audio_context: int
    audio_state: int
    audio_heads: int
    audio_layers: int
    text_context: int
    text_state: int
    text_heads: int
    text_layers: int
    mels: int
    ftype: int

    @property
    def multilingual(self) -> bool:
        """Whether the model knows languages other than English."""
        return self.vocabulary > _VOCABULARIES[0]

    @property
    def tokens(self) -> int:
        """Text tokens stored in the file; the special ones follow from the vocabulary's size."""
        return 50257 if self.multilingual else 50256

    @property
    def kind(self) -> Kind:
        """Type of the large matrices."""
        return _KINDS[self.ftype % _QUANTISATION_VERSION]

    @property
    def quantisation(self) -> str:
        """Name of that type, as in ``q8_0``."""
        return str(self.kind.name).lower()

    def fault(self) -> str:
        """What cannot be so in a Whisper model; empty when all is plausible."""
        form = self.ftype % _QUANTISATION_VERSION
        known = form in _KINDS and 0 <= self.ftype < 3 * _QUANTISATION_VERSION
        heads, layers = (self.audio_heads, self.text_heads), (self.audio_layers, self.text_layers)
        rules = (
            (self.vocabulary in _VOCABULARIES, f"a vocabulary of {self.vocabulary}"),
            (self.mels in _MELS, f"{self.mels} mel bands"),
            ((self.audio_context, self.text_context) == _CONTEXTS, "contexts other than 1500 and 448"),
            (self.audio_state == self.text_state, f"states of {self.audio_state} and {self.text_state}"),
            (0 < self.audio_state <= _WIDEST, f"a state of {self.audio_state}"),
            (all(n > 0 and self.audio_state % n == 0 for n in heads), f"{heads} attention heads"),
            (all(0 < n <= _DEEPEST for n in layers), f"{layers} layers"),
            (known, f"a quantisation numbered {self.ftype}"),
            (known and self.audio_state % _block_size(_KINDS[form]) == 0, "rows that cannot be quantised so"),
        )
        return next((claim for holds, claim in rules if not holds), "")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a Whisper model, and where a CTranslate2 file keeps it.

    ``part`` of ``parts`` says which equal slice along the first axis of ``origin`` it is: CTranslate2 stacks
    query, key and value of one attention into one matrix.
    """

    name: str
    shape: tuple[int, ...]
    kind: Kind
    origin: str
    part: int = 0
    parts: int = 1

    @property
    def bytes(self) -> int:
        """Length of the data in the file."""
        return math.prod(self.shape) // _block_size(self.kind) * int(gguf.GGML_QUANT_SIZES[self.kind][1])


def _block_size(kind: Kind) -> int:
    """How many numbers of one row are quantised together."""
    return int(gguf.GGML_QUANT_SIZES[kind][0])


def tensors(header: Header) -> Iterator[Tensor]:
    """Every tensor of a model with this header, in the order written."""
    state, conv = header.audio_state, Kind.F32 if header.kind == Kind.F32 else Kind.F16
    for side, context in (("encoder", header.audio_context), ("decoder", header.text_context)):
        encodings = f"{side}/position_encodings/encodings"
        yield Tensor(f"{side}.positional_embedding", (context, state), Kind.F32, encodings)
    for number, inputs in ((1, header.mels), (2, state)):
        name, origin = f"encoder.conv{number}", f"encoder/conv{number}"
        yield Tensor(f"{name}.weight", (state, inputs, 3), conv, f"{origin}/weight")
        # whisper.cpp adds this bias to a matrix of n_state rows and wants it as a column.
        yield Tensor(f"{name}.bias", (state, 1), Kind.F32, f"{origin}/bias")
    yield from _norm("encoder.ln_post", "encoder/layer_norm", state)
    for layer in range(header.audio_layers):
        yield from _block(header, f"encoder.blocks.{layer}", f"encoder/layer_{layer}", cross=False)
    embedding = (header.vocabulary, state)
    yield Tensor("decoder.token_embedding.weight", embedding, header.kind, "decoder/embeddings/weight")
    yield from _norm("decoder.ln", "decoder/layer_norm", state)
    for layer in range(header.text_layers):
        yield from _block(header, f"decoder.blocks.{layer}", f"decoder/layer_{layer}", cross=True)


def _norm(name: str, origin: str, state: int) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", (state,), Kind.F32, f"{origin}/gamma")
    yield Tensor(f"{name}.bias", (state,), Kind.F32, f"{origin}/beta")


def _linear(
    name: str, origin: str, shape: tuple[int, int], kind: Kind, split: tuple[int, int] = (0, 1)
) -> Iterator[Tensor]:
    yield Tensor(f"{name}.weight", shape, kind, f"{origin}/weight", *split)
    if not name.endswith(".key"):  # Whisper's key has no bias
        yield Tensor(f"{name}.bias", shape[:1], Kind.F32, f"{origin}/bias", *split)


def _block(header: Header, name: str, origin: str, *, cross: bool) -> Iterator[Tensor]:
    state, kind = header.audio_state, header.kind
    square = (state, state)
    attention, source = f"{name}.attn", f"{origin}/self_attention"
    yield from _norm(f"{attention}_ln", f"{source}/layer_norm", state)
    for part, role in enumerate(("query", "key", "value")):
        yield from _linear(f"{attention}.{role}", f"{source}/linear_0", square, kind, (part, 3))
    yield from _linear(f"{attention}.out", f"{source}/linear_1", square, kind)
    if cross:
        attention, source = f"{name}.cross_attn", f"{origin}/attention"
        yield from _norm(f"{attention}_ln", f"{source}/layer_norm", state)
        yield from _linear(f"{attention}.query", f"{source}/linear_0", square, kind)
        for part, role in enumerate(("key", "value")):
            yield from _linear(f"{attention}.{role}", f"{source}/linear_1", square, kind, (part, 2))
        yield from _linear(f"{attention}.out", f"{source}/linear_2", square, kind)
    yield from _norm(f"{name}.mlp_ln", f"{origin}/ffn/layer_norm", state)
    yield from _linear(f"{name}.mlp.0", f"{origin}/ffn/linear_0", (4 * state, state), kind)
    yield from _linear(f"{name}.mlp.2", f"{origin}/ffn/linear_1", (state, 4 * state), kind)
