"""The two commands: what they print, and the status they end with."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Coroutine
from pathlib import Path
from types import ModuleType

import click
import pytest
from click.testing import CliRunner

from ambientd import __main__, __version__, config, ctl, log
from ambientd.config import Settings
from ambientd.errors import ConfigError, ModelError, StoreUnavailable

Run = Callable[[Settings], Coroutine[None, None, None]]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in list(os.environ):
        if name.startswith(("AMBIENTD_", "WEBSOCKET_")) or name in {"LOG_LEVEL", "STATE_DIRECTORY"}:
            monkeypatch.delenv(name)
    monkeypatch.setattr(config.layers, "SYSTEM_FILE", tmp_path / "none.toml")
    monkeypatch.setattr(config.layers, "INSTALLATION_FILE", tmp_path / "none.toml")
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], None]:
    """Puts a daemon of the test's own where the real one is imported from; the log is left alone."""
    module = ModuleType("ambientd.daemon")
    monkeypatch.setitem(sys.modules, "ambientd.daemon", module)
    warming = ModuleType("ambientd.warming")
    warming.Warming = lambda _settings: None  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ambientd.warming", warming)
    monkeypatch.setattr(log, "set_up", lambda *_, **__: None)
    return lambda run: setattr(module, "run", run)


def command(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environ = os.environ | variables
    return subprocess.run(
        [sys.executable, "-m", "ambientd", *arguments],
        capture_output=True,
        text=True,
        env=environ,
        check=False,
    )


class TestAmbientd:
    def test_faulty_settings_end_with_78_and_every_fault_on_standard_error(self, tmp_path: Path) -> None:
        file = tmp_path / "ambientd.toml"
        file.write_text('[server]\nport = "8000"\n')
        ended = command("--config", str(file), WEBSOCKET_CHANELS="2")
        assert ended.returncode == 78
        assert ended.stdout == ""
        first, *faults = ended.stderr.splitlines()
        assert first == "ambientd: the settings are faulty:"
        assert faults[0].startswith("  WEBSOCKET_CHANELS: unknown variable; did you mean WEBSOCKET_CHANNELS?")
        assert faults[1] == f'  server.port: must be a whole number, not "8000" ({file})'
        assert "Traceback" not in ended.stderr

    def test_check_config_refuses_faulty_settings_the_same_way(self) -> None:
        assert command("--check-config", WEBSOCKET_CHANNELS="9").returncode == 78

    def test_check_config_prints_the_settings_in_effect_and_the_doubts_apart(self) -> None:
        ended = command("--check-config", AMBIENTD_SERVER__HOST="0.0.0.0", LOG_LEVEL="debug")  # noqa: S104
        assert ended.returncode == 0
        settings = tomllib.loads(ended.stdout)
        assert settings["server"]["host"] == "0.0.0.0"  # noqa: S104
        assert settings["log"]["level"] == "DEBUG"
        assert "# environment LOG_LEVEL" in ended.stdout
        assert "server.host" in ended.stderr

    def test_check_config_does_not_need_the_engine(self) -> None:
        code = "import sys; from ambientd.__main__ import main; main(['--check-config']); print(*sys.modules)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        loaded = ended.stdout.splitlines()[-1].split()
        assert "ambientd.config" in loaded
        assert not {"ambientd.daemon", "_pywhispercpp", "onnxruntime", "sqlalchemy"} & set(loaded)

    def test_version(self) -> None:
        assert command("--version").stdout == f"ambientd {__version__}\n"

    def test_the_daemon_runs_with_the_settings_and_a_regular_stop_is_0(
        self, daemon: Callable[[Run], None], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen: list[int] = []

        async def run(settings: Settings, *_: object) -> None:
            await asyncio.sleep(0)
            seen.append(settings.server.port)

        daemon(run)
        monkeypatch.setenv("AMBIENTD_SERVER__PORT", "0")
        assert __main__.main([]) == 0
        assert seen == [0]

    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (ModelError("weights missing", hint="Fetch them."), 1),
            (ConfigError(["engine.model: not installed"]), 78),
            (
                ExceptionGroup(
                    "g", [ExceptionGroup("h", [StoreUnavailable("disk full", hint="Fetch them.")])]
                ),
                1,
            ),
        ],
    )
    def test_what_the_operator_must_mend_is_one_record_without_a_trace(
        self, daemon: Callable[[Run], None], caplog: pytest.LogCaptureFixture, error: Exception, status: int
    ) -> None:
        async def run(*_: object) -> None:
            await asyncio.sleep(0)
            raise error

        daemon(run)
        assert __main__.main([]) == status
        (record,) = [each for each in caplog.records if each.levelname == "CRITICAL"]
        assert record.exc_info is None
        line = log.TextForm(to_journal=False).format(record)
        assert "cannot run error=" in line
        assert len(line.splitlines()) == 1

    def test_a_mistake_of_ours_is_not_taken_for_the_operators(self, daemon: Callable[[Run], None]) -> None:
        async def run(*_: object) -> None:
            await asyncio.sleep(0)
            raise RuntimeError

        daemon(run)
        with pytest.raises(RuntimeError):
            __main__.main([])

    def test_ctrl_c_while_starting_is_no_fault(self, daemon: Callable[[Run], None]) -> None:
        async def run(*_: object) -> None:
            await asyncio.sleep(0)
            raise KeyboardInterrupt

        daemon(run)
        assert __main__.main([]) == 130

    def test_a_library_that_cannot_be_loaded_is_named(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        monkeypatch.setattr(log, "set_up", lambda *_, **__: None)
        monkeypatch.setitem(sys.modules, "ambientd.warming", None)
        assert __main__.main([]) == 1
        line = log.TextForm(to_journal=True).format(caplog.records[-1])
        assert line.startswith("<2>ambientd: cannot run error=")
        assert "ambientd.warming" in line

    def test_doubtful_settings_are_warned_of_at_start(
        self, daemon: Callable[[Run], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async def run(*_: object) -> None:
            await asyncio.sleep(0)

        daemon(run)
        monkeypatch.setenv("AMBIENTD_SERVER__HOST", "0.0.0.0")  # noqa: S104
        __main__.main([])
        lines = [log.TextForm(to_journal=True).format(record) for record in caplog.records]
        assert any(line.startswith("<4>") and "server.host = 0.0.0.0" in line for line in lines)


@click.command()
def broken() -> None:
    raise ModelError("the weights of base are damaged", hint="Run: ambientctl model fetch base")


@click.command()
def where() -> None:
    click.echo(ctl.settings().server.port)


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("commands_of_the_test")
    module.broken, module.where = broken, where  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, module.__name__, module)
    for name in ("broken", "where"):
        monkeypatch.setitem(ctl.COMMANDS, name, (module.__name__, "For the test."))


class TestAmbientctl:
    def test_help_lists_every_command_without_importing_one(self) -> None:
        code = "import sys; from ambientd.ctl import main; main(['--help'], standalone_mode=False); print(*sys.modules)"
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        *shown, loaded = ended.stdout.splitlines()
        for name, (_, about) in ctl.COMMANDS.items():
            assert any(line.split() == [name, *about.split()] for line in shown)
        assert not {module for module, _ in ctl.COMMANDS.values()} & set(loaded.split())

    @pytest.mark.parametrize("name", sorted(ctl.COMMANDS))
    def test_every_command_is_where_it_is_said_to_be(self, name: str) -> None:
        done = CliRunner().invoke(ctl.main, [name, "--help"])
        assert done.exit_code == 0, done.output
        assert done.output.startswith(f"Usage: ambientctl {name}")

    def test_version_names_what_a_fault_report_needs(self) -> None:
        done = CliRunner().invoke(ctl.main, ["version"])
        assert done.output.splitlines()[0] == f"ambientd {__version__}"
        assert "pywhispercpp " in done.output

    @pytest.mark.usefixtures("commands")
    def test_our_errors_are_a_message_and_a_hint_with_status_1(self) -> None:
        done = CliRunner().invoke(ctl.main, ["broken"])
        assert done.exit_code == 1
        assert done.stdout == ""
        assert done.stderr == ("error: the weights of base are damaged\nRun: ambientctl model fetch base\n")

    @pytest.mark.usefixtures("commands")
    def test_commands_read_the_settings_file_that_was_named(self, tmp_path: Path) -> None:
        file = tmp_path / "named.toml"
        file.write_text("[server]\nport = 8765\n")
        assert CliRunner().invoke(ctl.main, ["--config", str(file), "where"]).output == "8765\n"
        file.write_text("[server]\nport = 80000\n")
        done = CliRunner().invoke(ctl.main, ["--config", str(file), "where"])
        assert done.exit_code == 1
        assert "server.port: must be at most 65535" in done.stderr

    def test_an_unknown_command_is_a_usage_error(self) -> None:
        done = CliRunner().invoke(ctl.main, ["nope"])
        assert done.exit_code == 2
        assert "No such command 'nope'" in done.output
