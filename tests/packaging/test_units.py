"""The unit files: systemd takes them without a word, and the service is allowed little."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from running import ROOT

from ambientd import systemd
from ambientd.config import Server

UNITS = ROOT / "systemd"
SERVICE = UNITS / "ambientd.service"

needs_analyze = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


def settings(unit: Path) -> list[tuple[str, str]]:
    lines = [line for line in unit.read_text().splitlines() if line and not line.startswith(("#", "["))]
    return [(name, value) for name, _, value in (line.partition("=") for line in lines)]


def value(unit: Path, name: str) -> str:
    return dict(settings(unit))[name]


@needs_analyze
def test_systemd_takes_the_units_without_a_word(tmp_path: Path) -> None:
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.socket")):
        # What is not installed here cannot be executed here.
        text = unit.read_text().replace("/opt/ambientd/bin/ambientd", "/bin/true")
        (tmp_path / unit.name).write_text(text)
    for unit in sorted(tmp_path.iterdir()):
        done = subprocess.run(
            ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), unit.name


@needs_analyze
def test_the_service_is_exposed_at_most_by_2(tmp_path: Path) -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", SERVICE],
        capture_output=True,
        text=True,
        check=False,
    )
    level = re.search(r"Overall exposure level for ambientd.service: (\d\.\d)", done.stdout)
    assert level is not None, done.stderr
    assert float(level[1]) <= 2.0
    assert done.returncode == 0


def test_each_group_of_restrictions_says_why() -> None:
    """A restriction without its reason is the first to go when something does not work."""
    lines = SERVICE.read_text().splitlines()
    start = lines.index("NoNewPrivileges=yes")
    end = lines.index("[Install]")
    run = 0
    for number, line in enumerate(lines[start - 1 : end]):
        if line.startswith("#"):
            run = 0
        elif "=" in line:
            run += 1
            assert run <= 5, f"line {start + number}: {line} is far from any reason"
    assert lines[start - 1].startswith("#")


def test_the_daemon_has_more_time_to_stop_than_its_sessions() -> None:
    assert int(value(SERVICE, "TimeoutStopSec")) >= Server().shutdown_timeout + 5


def test_a_box_in_the_field_is_started_again_for_ever_but_for_faulty_settings() -> None:
    assert value(SERVICE, "Restart") == "on-failure"
    assert value(SERVICE, "StartLimitIntervalSec") == "0"
    assert value(SERVICE, "RestartPreventExitStatus") == "78"


def test_no_memory_of_it_reaches_the_disk() -> None:
    assert value(SERVICE, "LimitCORE") == "0"
    assert value(SERVICE, "MemorySwapMax") == "0"


def test_it_never_waits_for_a_network() -> None:
    ordering = [v for name, v in settings(SERVICE) if name in {"After", "Wants", "Requires"}]
    assert "network" not in " ".join(ordering)


def test_sound_is_in_the_kernel_before_its_devices_are_allowed() -> None:
    """A device group that the kernel does not know at the start is left out for as long as the service runs."""
    assert value(SERVICE, "DeviceAllow") == "char-alsa rw"
    assert ("Wants", "modprobe@snd.service") in settings(SERVICE)
    assert ("After", "modprobe@snd.service") in settings(SERVICE)


def test_clients_cannot_have_a_faulty_service_started_for_ever() -> None:
    for unit in UNITS.glob("*.socket"):
        assert value(unit, "TriggerLimitIntervalSec") == "60"
        assert value(unit, "TriggerLimitBurst") == "5"


def test_sockets_have_the_names_the_daemon_knows_and_stop_with_it() -> None:
    names = {unit.name: value(unit, "FileDescriptorName") for unit in UNITS.glob("*.socket")}
    assert names == {"ambientd.socket": systemd.HTTP, "ambientd-lan.socket": systemd.LAN}
    for unit in UNITS.glob("*.socket"):
        assert value(unit, "PartOf") == "ambientd.service"


def test_the_loopback_socket_is_where_the_settings_have_it() -> None:
    assert value(UNITS / "ambientd.socket", "ListenStream") == f"{Server().host}:{Server().port}"
