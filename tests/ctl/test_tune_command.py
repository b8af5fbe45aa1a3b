"""``ambientctl tune``, with a machine that is measured in no time."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner

from ambientd.ctl import main
from ambientd.engine import models as weights
from ambientd.engine import tune
from ambientd.engine.machine import this_machine
from ambientd.engine.tune import Trial


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store without a daemon, and measurements that are made up: bf16 is the faster."""

    def measure(path, quantisation, audio, plan, *, seconds):
        assert len(audio) > 100_000
        speed = 14 * plan[0] * (1.3 if quantisation == "bf16" else 1)
        return Trial(quantisation, *plan, speed, 0.8, 250 << 20)

    class Installed:
        def __init__(self, quantisation: str) -> None:
            self.name, self.quantisation = "base", quantisation

    monkeypatch.setattr(tune, "measure", measure)
    monkeypatch.setattr(weights, "resolve", lambda *_: Path(__file__))
    monkeypatch.setattr(weights, "installed", lambda *_: [Installed("q8_0"), Installed("bf16")])
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))
    return tmp_path


def test_what_was_measured_is_shown_kept_and_advised_upon(box: Path):
    done = CliRunner().invoke(main, ["tune", "--seconds", "0.1", "--url", "http://127.0.0.1:9"])

    assert done.exit_code == 0, done.output
    kept = tune.load(box)
    assert kept is not None
    assert kept.machine == this_machine()
    assert (kept.lanes, kept.threads) == (kept.machine.cores, 1)
    assert kept.quantisation == "q8_0"  # the operator's choice, however fast the other
    assert 'engine.quantisation = "bf16" is 1.30 times as fast' in done.output
    assert str(box / tune.FILE) in done.output


def test_it_is_told_when_the_settings_win(box: Path, monkeypatch):
    monkeypatch.setenv("AMBIENTD_ENGINE__LANES", "3")
    done = CliRunner().invoke(main, ["tune", "--url", "http://127.0.0.1:9"])
    assert "set both to 0" in done.output


def test_a_store_that_cannot_be_written_is_told(box: Path, monkeypatch):
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(box / "missing"))
    done = CliRunner().invoke(main, ["tune", "--url", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    assert "cannot be kept" in done.output


def test_nothing_is_kept_of_a_machine_that_was_busy(box: Path, monkeypatch):
    monkeypatch.setattr(tune, "measure", lambda *_, **__: Trial("q8_0", 1, 1, 3, 4, 1 << 20, share=0.3))
    done = CliRunner().invoke(main, ["tune", "--url", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    assert "nothing is kept" in done.output
    assert tune.load(box) is None


def test_a_box_in_use_is_not_measured(box: Path, monkeypatch):
    monkeypatch.setattr("ambientd.ctl.daemon.ask", lambda *_: {"sessions": {"live": 3}})
    done = CliRunner().invoke(main, ["tune"])
    assert done.exit_code == 1
    assert "3 sessions are running" in done.output
    assert CliRunner().invoke(main, ["tune", "--force"]).exit_code == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can act for others")
def test_run_by_root_it_follows_no_link_of_the_daemons_user(box: Path, monkeypatch):
    folder = Path(tempfile.mkdtemp())  # which that user can reach, as it cannot tmp_path
    os.chown(folder, 65_534, 65_534)
    precious = box / "precious"
    precious.write_text("root's\n")
    scratch = (folder / tune.FILE).with_suffix(".new")
    scratch.symlink_to(precious)
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(folder))
    done = CliRunner().invoke(main, ["tune", "--url", "http://127.0.0.1:9"])
    assert done.exit_code == 1
    assert precious.read_text() == "root's\n"
    scratch.unlink()
    assert CliRunner().invoke(main, ["tune", "--url", "http://127.0.0.1:9"]).exit_code == 0
    assert (folder / tune.FILE).stat().st_uid == 65_534
    shutil.rmtree(folder)
