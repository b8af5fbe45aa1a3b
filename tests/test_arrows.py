"""The arrows between the rooms point one way, and each outside thing has one door."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "ambientd"

MAY_USE = {
    "core": {"errors"},
    "engine": {"core", "errors"},
    "store": {"core", "errors"},
    "capture": {"core", "errors"},
    "session": {"core", "store", "errors"},
    "sync": {"core", "store", "errors"},
    "security": {"core", "errors"},
    "access": {"core", "store", "errors"},
    "api": {"core", "store", "session", "access", "errors"},
}
"""Room -> what else of ours it may import.  What is not listed here may use anything."""

ONE_DOOR = {
    "_pywhispercpp": "engine/whisper.py",
    "pywhispercpp": None,
    "onnxruntime": "engine/vad.py",
    "sounddevice": "capture/child.py",
    "systemd": "systemd.py",
    "sqlalchemy": "store/",
    "aiosqlite": "store/",
    "cryptography": ("store/", "security/", "lan.py", "access/passwords.py"),
    "limits": "security/limits.py",
    "ifaddr": "security/addresses.py",
    "zeroconf": "announce.py",
    "segno": "api/certificate.py",
    "prometheus_client": "api/",
    "apscheduler": "sync/schedule.py",
    "soxr": ("session/intake.py", "audiofile.py", "capture/conversion.py"),
}
"""Outside package -> where alone it may be imported; ``None`` for nowhere."""

PURE = {"asyncio", "threading", "time", "logging", "socket", "subprocess", "os", "pathlib", "io", "queue"}
"""What the core must not touch."""

MODULES = sorted(PACKAGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: relative imports hide where an arrow points"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_a_module_imports_only_what_its_room_may(path: Path):
    room = place(path).split("/")[0].removesuffix(".py")
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("ambientd.")}

    assert "daemon" not in ours or room == "__main__"
    if room in MAY_USE:
        used = {name for name in ours if (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()}
        assert used - {room} <= MAY_USE[room]


@pytest.mark.parametrize("path", MODULES, ids=place)
def test_each_outside_thing_has_one_door(path: Path):
    for name in imports(path):
        door = ONE_DOOR.get(name.split(".")[0], "")
        assert door is not None, f"{name} is not to be used"
        assert place(path).startswith(door), f"{name} belongs in {door}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").glob("*.py")), ids=place)
def test_the_core_is_numpy_and_the_standard_library_without_the_world(path: Path):
    for name in imports(path):
        top = name.split(".")[0]
        assert top in {"ambientd", "numpy"} or top in sys.stdlib_module_names
        assert top not in PURE
