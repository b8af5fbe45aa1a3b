"""The service manager and its sockets, with systemd-python and without."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from running import ROOT

from ambientd import systemd
from ambientd.systemd import ServiceManager

needs_library = pytest.mark.skipif(systemd.journal() is None, reason="systemd-python is not installed")


@pytest.fixture(params=["path", "abstract"])
def listener(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """Plays systemd's end of the notification socket."""
    address = str(tmp_path / "notify") if request.param == "path" else f"@ambientd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(address.replace("@", "\0"))
        door.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", address)
        yield door


def test_what_is_told_arrives_as_one_message(listener: socket.socket) -> None:
    manager = ServiceManager()
    assert manager.listens

    manager.tell("READY=1", "STATUS=ready: 0 live sessions")

    assert listener.recv(4096) == b"READY=1\nSTATUS=ready: 0 live sessions"


def test_a_manager_that_does_not_read_is_not_waited_for(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    """The library's notify would wait here, in the event loop."""
    manager = ServiceManager()
    began = time.monotonic()
    for _ in range(2000):
        manager.tell("WATCHDOG=1")
    manager.tell("STATUS=old")
    manager.tell("READY=1", "STATUS=ready")
    assert time.monotonic() - began < 2
    assert caplog.messages == ["the service manager cannot be told"]

    listener.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            assert listener.recv(4096) == b"WATCHDOG=1"
    manager.tell("WATCHDOG=1")
    assert sorted(listener.recv(4096).split(b"\n")) == [b"READY=1", b"STATUS=ready", b"WATCHDOG=1"]


def test_without_a_manager_nobody_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    manager = ServiceManager()
    manager.tell("READY=1")
    assert not manager.listens


def test_a_manager_that_has_gone_is_told_of_in_the_log_once(
    listener: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    manager = ServiceManager()
    listener.close()
    manager.tell("WATCHDOG=1")
    manager.tell("WATCHDOG=1")
    assert caplog.messages == ["the service manager cannot be told"]


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_the_process_it_names(environ: dict[str, str], seconds: float | None) -> None:
    assert ServiceManager(environ).watchdog == seconds


TAKER = """
import os, sys
os.environ["LISTEN_PID"] = str(os.getpid()) if sys.argv[1] == "ours" else "1"
from ambientd import systemd
if sys.argv[2] == "without":
    systemd._daemon = None
for name, found in systemd.sockets().items():
    for door in found:
        print(name, door.getsockname()[1], os.get_inheritable(door.fileno()))
print(systemd.sockets(), sorted(name for name in os.environ if name.startswith("LISTEN")))
"""


def handed(doors: list[socket.socket], *, names: str, whose: str, way: str) -> list[str]:
    """What a process says to whom these sockets were handed over."""
    # dash passes descriptors on under the numbers that systemd gives them.
    moves = " ".join(f"{3 + at}<&{100 + at}" for at in range(len(doors)))
    for at, door in enumerate(doors):
        os.dup2(door.fileno(), 100 + at)
    command = f'exec "$@" {moves}'
    try:
        done = subprocess.run(
            ["bash", "-c", command, "bash", sys.executable, "-c", TAKER, whose, way],
            cwd=ROOT,
            env=os.environ | {"LISTEN_FDS": str(len(doors)), "LISTEN_FDNAMES": names},
            pass_fds=[100 + at for at in range(len(doors))],
            capture_output=True,
            text=True,
            check=True,
        )
    finally:
        for at in range(len(doors)):
            os.close(100 + at)
    return done.stdout.splitlines()


@pytest.fixture
def doors() -> Iterator[list[socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as lan:
        yield [http, lan]


@pytest.mark.parametrize("way", [pytest.param("library", marks=needs_library), "without"])
def test_sockets_come_by_their_names_and_only_once(doors: list[socket.socket], way: str) -> None:
    http, lan = (door.getsockname()[1] for door in doors)

    told = handed(doors, names=f"{systemd.HTTP}:{systemd.LAN}", whose="ours", way=way)

    assert told == [f"{systemd.HTTP} {http} False", f"{systemd.LAN} {lan} False", "{} []"]


@pytest.mark.parametrize("way", [pytest.param("library", marks=needs_library), "without"])
def test_sockets_meant_for_another_process_are_left_alone(doors: list[socket.socket], way: str) -> None:
    told = handed(doors, names=f"{systemd.HTTP}:{systemd.LAN}", whose="another's", way=way)
    assert told == ["{} []"]


@needs_library
def test_an_entry_is_sent_as_the_fields_it_is_made_of(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    monkeypatch.setattr(systemd._journal, "sendv", lambda *fields: sent.extend(fields))
    send = systemd.journal()
    assert send is not None
    send([("MESSAGE", "two\nlines"), ("PRIORITY", "6")])
    assert sent == ["MESSAGE=two\nlines", "PRIORITY=6"]
