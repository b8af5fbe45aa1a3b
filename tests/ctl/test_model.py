"""``ambientctl model`` says what happened, and its exit status says whether it was good."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import whisper_files as files
from click.testing import CliRunner, Result

from ambientd import config
from ambientd.ctl import main
from ambientd.ctl import model as command
from ambientd.engine import models
from ambientd.engine.catalogue import Known

VAD = b"an onnx file"
SHA256 = hashlib.sha256(VAD).hexdigest()


@pytest.fixture(autouse=True)
def catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue of one detector of speech, whose package pip finds in a directory."""
    index = tmp_path / "index"
    index.mkdir()
    package = files.build_package(index, "detector", VAD)
    known = {"silero-vad": Known("silero-vad", "vad", SHA256, len(VAD), (package,))}
    monkeypatch.setattr(models, "KNOWN", known)
    monkeypatch.setattr(command, "KNOWN", known)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "models"


def run(*words: str) -> Result:
    return CliRunner().invoke(main, ["model", *words])


def test_a_model_is_fetched_listed_verified_and_removed(directory: Path) -> None:
    where = ("--directory", str(directory))
    assert "silero-vad can be fetched: ambientctl model fetch silero-vad" in run("list", *where).stdout
    fetched = run("fetch", "silero-vad", *where)
    assert (fetched.exit_code, fetched.stdout) == (0, "silero-vad is installed (0.0 MB).\n")
    assert "detector 1.0.0" in run("list", *where).stdout
    verified = run("verify", *where)
    assert (verified.exit_code, verified.stdout.split()) == (0, ["good", "silero-vad.onnx"])
    assert run("remove", "silero-vad", *where).stdout == "removed silero-vad.json\nremoved silero-vad.onnx\n"
    assert models.installed(directory) == []


def test_a_program_can_read_what_is_installed_and_in_what_state(directory: Path, tmp_path: Path) -> None:
    where = ("--directory", str(directory))
    stick = tmp_path / "silero.onnx"
    stick.write_bytes(VAD)
    assert run("import", str(stick), "--name", "silero-vad", "--sha256", SHA256, *where).exit_code == 0
    told = json.loads(run("list", "--json", *where).stdout)
    assert told["directory"] == str(directory)
    assert told["known"] == ["silero-vad"]
    (entry,) = told["installed"]
    assert (entry["name"], entry["sha256"], entry["path"]) == (
        "silero-vad",
        SHA256,
        f"{directory}/silero-vad.onnx",
    )
    Path(entry["path"]).write_bytes(b"x")
    verified = run("verify", "--json", *where)
    assert verified.exit_code == 1
    assert [finding["state"] for finding in json.loads(verified.stdout)] == ["damaged"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("fetch", "large"), "error: large is not in the catalogue"),
        (("remove", "silero-vad"), "error: no model silero-vad is installed"),
        (("import", "absent.bin", "--name", "a", "--sha256", "0" * 64), "error: absent.bin cannot be read"),
        (("import", "http://localhost/a", "--name", "a", "--sha256", "0" * 64), "error: only https"),
    ],
)
def test_what_fails_has_status_1_and_says_what_to_do(
    directory: Path, words: tuple[str, ...], said: str
) -> None:
    done = run(*words, "--directory", str(directory))
    assert done.exit_code == 1
    assert done.stdout == ""
    assert done.stderr.startswith(said)
    assert "Traceback" not in done.stderr


def test_the_directory_is_the_one_in_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = tmp_path / "ambientd.toml"
    settings.write_text(f'[models]\ndirectory = "{tmp_path}/elsewhere"\n')
    monkeypatch.setenv("AMBIENTD_CONFIG", str(settings))
    assert config.load().models.directory == tmp_path / "elsewhere"
    assert f"No models are installed in {tmp_path}/elsewhere." in run("list").stdout


def test_with_a_directory_given_faulty_settings_do_not_matter(
    directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = tmp_path / "ambientd.toml"
    settings.write_text("[models]\ndirectory = 7\n")
    monkeypatch.setenv("AMBIENTD_CONFIG", str(settings))
    assert run("list").exit_code == 1
    assert run("list", "--directory", str(directory)).exit_code == 0


def test_a_model_of_a_system_package_is_listed_as_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, packaged = tmp_path / "ambientd.toml", tmp_path / "share"
    settings.write_text(f'[models]\ndirectory = "{tmp_path}/own"\npackaged = "{packaged}"\n')
    monkeypatch.setenv("AMBIENTD_CONFIG", str(settings))
    run("fetch", "silero-vad", "--directory", str(packaged))

    assert "a system package" in run("list").stdout
    listed = json.loads(run("list", "--json").stdout)["installed"]
    assert [entry["path"] for entry in listed] == [str(packaged / "silero-vad.onnx")]
    assert run("verify").exit_code == 0
