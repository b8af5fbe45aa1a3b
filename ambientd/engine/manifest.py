"""An installed model is two files: the weights, ``base-q8_0.bin``, and their manifest, ``base-q8_0.json``.

The manifest is written last and removed first, so weights with a manifest were installed to the end; weights
without one are not a model.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ambientd.engine import ggml, placement
from ambientd.engine.catalogue import Kind
from ambientd.errors import ModelError

SUFFIXES: Final = MappingProxyType({"whisper": ".bin", "vad": ".onnx"})
"""Suffix of the weights' file for each kind of model."""

FINISHED: Final = "model"
"""Name in the scratch directory of the file that is to be installed."""


@dataclass(frozen=True, slots=True)
class Model:
    """The manifest of an installed model.

    ``sha256`` and ``size`` are of the file the engine loads; ``source_sha256`` is of the weights it was made
    from.  ``quantisation`` is empty for a detector of speech, which has none.  ``created`` is in UTC.
    """

    name: str
    quantisation: str
    kind: Kind
    multilingual: bool
    size: int
    sha256: str
    source: str
    source_sha256: str
    created: str

    @property
    def stem(self) -> str:
        """File name without its suffix, the same for weights and manifest."""
        return stem_of(self.name, self.quantisation)

    @property
    def file(self) -> str:
        """File name of the weights."""
        return self.stem + SUFFIXES[self.kind]


def stem_of(name: str, quantisation: str) -> str:
    """File name, without suffix, of a model's weights and of its manifest."""
    return f"{name}-{quantisation}" if quantisation else name


def read(path: Path) -> Model:
    """The manifest in a file.

    Raises:
        ModelError: it cannot be read, or does not describe the weights beside it.
    """
    hint = f"Run `ambientctl model remove {path.stem}`, then fetch or import the model again."
    try:
        values = json.loads(path.read_bytes())
        model = Model(**values)
        typed = all(
            type(values[field.name]).__name__ == field.type for field in fields(Model) if field.name != "kind"
        )
        if not typed or model.kind not in SUFFIXES or model.stem != path.stem:
            raise ModelError(f"the manifest {path.name} does not describe its model.", hint=hint)
    except (ValueError, TypeError, OSError) as fault:
        raise ModelError(f"the manifest {path.name} cannot be read.", hint=hint) from fault
    return model


def require_intact(model: Model, directory: Path) -> None:
    """See that the weights are there and are what their manifest says, by computing their checksum.

    Raises:
        ModelError: they are not.
    """
    hint = f"Run `ambientctl model remove {model.stem}`, then fetch or import the model again."
    try:
        size, sha256 = (directory / model.file).stat().st_size, placement.sha256_of(directory / model.file)
    except OSError as fault:
        raise ModelError(f"{model.file} cannot be read: {fault.strerror}.", hint=hint) from fault
    if (size, sha256) != (model.size, model.sha256):
        raise ModelError(f"{model.file} is damaged: its checksum is not the one in its manifest.", hint=hint)


def describe(finished: Path, name: str, kind: Kind, source: str, source_sha256: str = "") -> Model:
    """The manifest of a finished file, which is its own source unless ``source_sha256`` names another.

    Raises:
        ModelError: it should be a Whisper model, and is not a whole one.
    """
    header = ggml.check(finished, source) if kind == "whisper" else None
    sha256 = placement.sha256_of(finished)
    return Model(
        name=name,
        quantisation=header.quantisation if header else "",
        kind=kind,
        multilingual=header.multilingual if header else True,
        size=finished.stat().st_size,
        sha256=sha256,
        source=source,
        source_sha256=source_sha256 or sha256,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def install(model: Model, directory: Path, scratch: Path) -> None:
    """Put ``scratch/model`` in place: the old manifest goes first and the new one comes last."""
    path = directory / f"{model.stem}.json"
    path.unlink(missing_ok=True)
    placement.settle(directory)
    placement.place(scratch / FINISHED, directory / model.file)
    written = scratch / "manifest"
    written.write_text(json.dumps(asdict(model), indent=2) + "\n", encoding="utf-8")
    placement.place(written, path)
