"""The Debian package's scripts: what was answered is in force, and nothing is destroyed that nobody has received.

The scripts run as they are, but for their paths, which lead into a directory of the test's, and for debconf, which is a
few functions over files.  ``make test-deb`` runs the packages themselves, in a Debian with systemd.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import tomllib
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import ambientd
from ambientd.config.faults import fields
from ambientd.config.tables import Settings

ROOT = Path(__file__).parents[2]
DEBIAN = ROOT / "packaging" / "debian"
SCRIPTS = ["config", "postinst", "prerm", "postrm"]

CONFMODULE = """\
    # debconf, of files: one an answer.  Like the true one it runs the script again, with the arguments in sight.
    [ "$DEBIAN_HAS_FRONTEND" ] || exec env DEBIAN_HAS_FRONTEND=1 sh "$0" "$@"
    db_get() { RET=$(cat "$ANSWERS/${1#*/}" 2>/dev/null || true); }
    db_set() { printf '%s' "$2" >"$ANSWERS/${1#*/}"; }
    db_input() { echo "$2" >>"$ANSWERS/asked"; return 30; }
    db_subst() { printf '%s\\n' "$3" >>"$ANSWERS/told"; }
    db_go() { :; }
    db_fset() { :; }
    db_stop() { :; }
"""


PYTHON = """\
#!/bin/sh
echo "$*" >>{called}
[ "$1" = -I ] && [ "$3" != compileall ] || exit 0
shift
PYTHONPATH={root} exec {python} "$@"
"""


@dataclass(frozen=True, slots=True)
class Box:
    """A machine's directories, below one of the test's own."""

    root: Path

    def run(self, script: str, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        text = (DEBIAN / f"ambientd.{script}").read_text()
        text = re.sub(r"(?<![\w$}])/(etc|var|opt|usr/share/debconf)/", rf"{self.root}/\1/", text)
        path = self.root / script
        path.write_text(text)
        return subprocess.run(
            ["sh", str(path), *arguments],
            env={"PATH": f"{self.root}/bin:/usr/bin:/bin", "ANSWERS": str(self.root / "answers"), **variables},
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip

    def answer(self, **answers: str) -> None:
        for name, text in answers.items():
            (self.root / "answers" / name.replace("_", "-")).write_text(text)

    def answered(self, name: str) -> str:
        path = self.root / "answers" / name
        return path.read_text() if path.exists() else ""

    @property
    def installation(self) -> Path:
        return self.root / "etc/ambientd/installation.toml"

    @property
    def state(self) -> Path:
        return self.root / "var/lib/ambientd"

    def used(self, undelivered: str = "2") -> None:
        """As after a removal of a box with conversations on it."""
        self.state.mkdir(parents=True)
        for name in ("ambientd.db", "ambientd.db-wal", "box.key", "lan-ca.key", "models/own.bin"):
            (self.state / name).parent.mkdir(exist_ok=True)
            (self.state / name).write_text("something")
        aside = self.root / "var/lib/misc/ambientd"
        aside.mkdir(parents=True)
        (aside / "undelivered").write_text(undelivered)
        (aside / "ambientd.toml").write_text("[retention]\ndays = 20.0\n")


@pytest.fixture
def box(tmp_path: Path) -> Box:
    for name in ("answers", "bin", "usr/share/debconf", "var/lib/misc", "etc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr/share/debconf/confmodule").write_text(dedent(CONFMODULE))
    python = tmp_path / "opt/ambientd/bin/python"
    python.parent.mkdir(parents=True)
    # The package's own knows ambientd by itself; here -I would hide it.
    python.write_text(PYTHON.format(called=tmp_path / "python", root=ROOT, python=sys.executable))
    python.chmod(0o755)
    for name in ("deb-systemd-helper", "deb-systemd-invoke", "runuser"):
        program = tmp_path / "bin" / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >>"{tmp_path}/called"\n')
        program.chmod(0o755)
    return Box(tmp_path)


ANSWERS = {"room": "Exam 3", "box_id": "box-7", "language": "de", "lan": "true", "centre_profile": "none"}


def test_what_was_answered_becomes_settings(box: Box):
    box.answer(
        **ANSWERS
        | {"centre_profile": "ingest", "centre_url": "https://centre.clinic.example", "lan": "false"}
    )

    done = box.run("postinst", "configure")

    assert done.returncode == 0, done.stderr
    assert tomllib.loads(box.installation.read_text()) == {
        "box": {"id": "box-7", "room": "Exam 3"},
        "engine": {"language": "de"},
        "lan": {"enabled": False},
        "sync": {"profile": "ingest", "url": "https://centre.clinic.example"},
    }
    assert {
        (table, key) for table, keys in tomllib.loads(box.installation.read_text()).items() for key in keys
    } <= set(fields(Settings))


def test_no_answer_leaves_the_default(box: Box):
    box.answer(lan="true", centre_profile="none", centre_url="https://left-over.example")
    box.run("postinst", "configure")

    written = tomllib.loads(box.installation.read_text())
    assert written["box"] == {}
    assert written["engine"] == {}
    assert written["sync"] == {"profile": "none"}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(room=st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" "), min_size=1, max_size=20))
def test_any_name_of_a_room_goes_into_the_file_and_back(box: Box, room: str):
    room = room.strip() or "x"
    box.answer(**ANSWERS | {"room": room})
    assert box.run("postinst", "configure").returncode == 0
    assert tomllib.loads(box.installation.read_text())["box"]["room"] == room

    (box.root / "answers/room").unlink()  # debconf's memory is lost
    done = box.run("config", "configure")
    assert done.returncode == 0, done.stderr
    assert box.answered("room") == room


def test_what_an_administrator_wrote_into_the_file_counts_as_the_answer(box: Box):
    box.answer(**ANSWERS)
    box.run("postinst", "configure")
    text = box.installation.read_text()
    box.installation.write_text(text.replace("box-7", "box-8").replace("enabled = true", "enabled = false"))

    box.run("config", "reconfigure")
    box.run("postinst", "configure")

    written = tomllib.loads(box.installation.read_text())
    assert (written["box"]["id"], written["lan"]["enabled"]) == ("box-8", False)


@pytest.mark.parametrize("line", ["", 'id = ""\n'])
def test_a_value_that_was_emptied_in_the_file_does_not_come_back(box: Box, line: str):
    box.answer(**ANSWERS)
    box.run("postinst", "configure")
    box.installation.write_text(box.installation.read_text().replace('id = "box-7"\n', line))

    box.run("config", "configure")
    box.run("postinst", "configure")

    assert tomllib.loads(box.installation.read_text())["box"] == {"room": "Exam 3"}


@pytest.mark.parametrize("line", ['id="box-8"', "  id =  'box-8'", 'id = "box-8"  # by the door'])
def test_a_value_written_another_way_is_the_answer_too(box: Box, line: str):
    box.answer(**ANSWERS)
    box.run("postinst", "configure")
    box.installation.write_text(box.installation.read_text().replace('id = "box-7"', line))

    box.run("config", "configure")

    assert box.answered("box-id") == "box-8"


def test_answers_given_beforehand_count_where_there_is_no_file(box: Box):
    box.answer(**ANSWERS)
    assert box.run("config", "install").returncode == 0
    assert box.answered("box-id") == "box-7"


def test_the_file_says_who_writes_it(box: Box):
    box.answer(**ANSWERS)
    box.run("postinst", "configure")
    assert "each upgrade" in box.installation.read_text()


def test_root_takes_no_module_from_where_it_stands(box: Box):
    box.answer(**ANSWERS)
    box.run("postinst", "configure")
    box.run("prerm", "remove")
    called = (box.root / "python").read_text().splitlines()
    assert len(called) >= 3
    assert all(line.startswith("-I ") for line in called)


def spoken(directory: Path, count: int) -> None:
    """A database with conversations that nobody has received."""
    directory.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(directory / "ambientd.db")) as connection:
        connection.execute("CREATE TABLE realtime_sessions (total_chunks INTEGER, state TEXT)")
        connection.executemany("INSERT INTO realtime_sessions VALUES (?, 'ended')", [(3,)] * count)
        connection.commit()
    (directory / "box.key").write_text("something")


def test_a_state_directory_on_another_disk_is_counted_and_destroyed(box: Box):
    disk = box.root / "srv/disk"
    spoken(disk, 2)
    box.state.symlink_to(disk)

    assert box.run("prerm", "remove").returncode == 0
    done = box.run("postrm", "purge")
    assert (done.returncode, "received: 2" in done.stderr) == (1, True), done.stderr
    assert (disk / "box.key").exists()

    assert box.run("postrm", "purge", AMBIENTD_PURGE_UNDELIVERED="yes").returncode == 0
    assert not disk.exists()
    assert not box.state.is_symlink()


def test_a_disk_that_is_not_there_is_not_taken_for_empty(box: Box):
    box.state.symlink_to(box.root / "srv/disk")
    box.run("prerm", "remove")
    assert box.run("postrm", "purge").returncode == 1
    assert box.state.is_symlink()


def test_a_disk_mounted_there_is_emptied_and_stays(box: Box):
    box.used("0")
    mountpoint = box.root / "bin/mountpoint"
    mountpoint.write_text("#!/bin/sh\nexit 0\n")
    mountpoint.chmod(0o755)

    assert box.run("postrm", "purge").returncode == 0
    assert list(box.state.iterdir()) == []


def test_what_the_settings_put_elsewhere_is_counted_and_told_and_left(box: Box):
    elsewhere = box.root / "srv/conversations"
    spoken(elsewhere, 3)
    spoken(box.state, 1)
    file = box.root / "ambientd.toml"
    file.write_text(f'[store]\ndirectory = "{elsewhere}"\n')

    assert box.run("prerm", "remove", AMBIENTD_CONFIG=str(file)).returncode == 0
    done = box.run("postrm", "purge")
    assert (done.returncode, "received: 4" in done.stderr) == (1, True), done.stderr

    done = box.run("postrm", "purge", AMBIENTD_PURGE_UNDELIVERED="yes")
    assert done.returncode == 0, done.stderr
    assert f"not touched: {elsewhere}" in done.stderr
    assert (elsewhere / "box.key").exists()
    assert not box.state.exists()


def test_the_networks_door_follows_a_new_answer_and_otherwise_stays_as_it_is(box: Box):
    def called() -> list[str]:
        path = box.root / "called"
        lines = [line for line in path.read_text().splitlines() if "ambientd-lan.socket" in line]
        path.unlink()
        return lines

    box.answer(**ANSWERS)
    box.run("postinst", "configure")
    assert called() == ["deb-systemd-helper enable ambientd-lan.socket"]
    box.run("postinst", "configure")  # an upgrade, after somebody may have closed it by hand
    assert called() == []
    box.answer(lan="false")
    box.run("postinst", "configure")
    assert called()[0] == "deb-systemd-helper disable ambientd-lan.socket"


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("box_id", "box 7", "1 to 64 letters"),
        ("room", "x" * 65, "longer than 64"),
        ("language", "English", "a code such as en"),
        ("centre_url", "http://centre.clinic.example", "https://"),
        ("centre_url", "https://me:secret@centre.example", "no password"),
        ("centre_url", "", "https://"),
    ],
)
def test_an_answer_that_cannot_be_used_is_told_and_where_nobody_is_there_not_asked_for_ever(
    box: Box, name: str, text: str, said: str
):
    box.answer(**ANSWERS | {"centre_profile": "ingest", "centre_url": "https://centre.example", name: text})

    done = box.run("config", "configure")

    assert done.returncode == 0, done.stderr
    assert said in box.answered("told")


def test_an_id_left_empty_is_no_fault(box: Box):
    box.answer(**ANSWERS | {"box_id": "", "room": ""})
    assert box.run("config", "configure").returncode == 0
    assert box.answered("told") == ""


def test_a_purge_is_refused_while_there_is_what_nobody_has_received(box: Box):
    box.used()

    done = box.run("postrm", "purge")

    assert done.returncode == 1
    assert "AMBIENTD_PURGE_UNDELIVERED=yes" in done.stderr
    assert {path.name for path in box.state.iterdir()} >= {"ambientd.db", "box.key", "lan-ca.key"}
    # dpkg has deleted them by then
    assert (box.root / "etc/ambientd/ambientd.toml").read_text() == "[retention]\ndays = 20.0\n"
    assert "ambientd/purge-undelivered" in box.answered("asked")


@pytest.mark.parametrize("noted", ["unknown", ""])
def test_and_while_nobody_knows(box: Box, noted: str):
    box.used(noted)
    assert box.run("postrm", "purge").returncode == 1
    assert (box.state / "box.key").exists()


@pytest.mark.parametrize("told", ["by a variable", "by debconf"])
def test_a_purge_that_was_told_leaves_nothing(box: Box, told: str):
    box.answer(**ANSWERS)
    box.run("postinst", "configure")
    box.used()
    if told == "by debconf":
        box.answer(purge_undelivered="true")

    done = box.run("postrm", "purge", AMBIENTD_PURGE_UNDELIVERED="yes" if told == "by a variable" else "")

    assert done.returncode == 0, done.stderr
    assert not box.state.exists()
    assert not (box.root / "var/lib/misc/ambientd").exists()
    assert not (box.root / "etc/ambientd").exists()


def test_a_purge_refused_and_then_told_leaves_nothing_either(box: Box):
    box.used()
    assert box.run("postrm", "purge").returncode == 1
    assert box.run("postrm", "purge", AMBIENTD_PURGE_UNDELIVERED="yes").returncode == 0
    assert not (box.root / "etc/ambientd").exists()


def test_what_was_delivered_goes_unasked(box: Box):
    box.used("0")

    assert box.run("postrm", "purge").returncode == 0
    assert not box.state.exists()
    assert box.answered("asked") == ""


def test_the_keys_go_first(box: Box):
    """A shred that cannot destroy a key stops the purge before anything else is gone."""
    box.used("0")
    shred = box.root / "bin/shred"
    shred.write_text(f'#!/bin/sh\nls -R "{box.state}" >"{box.root}/seen"\nexit 1\n')
    shred.chmod(0o755)

    assert box.run("postrm", "purge").returncode != 0
    assert "ambientd.db-wal" in (box.root / "seen").read_text()
    assert (box.state / "ambientd.db").exists()


def test_a_removal_keeps_everything(box: Box):
    box.used()
    assert box.run("postrm", "remove").returncode == 0
    assert len(list(box.state.iterdir())) == 5


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_scripts_are_plain_shell(script: str):
    path = DEBIAN / f"ambientd.{script}"
    subprocess.run(["sh", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-s", "sh", "-e", "SC1091", path], check=True)


@pytest.mark.parametrize(
    "script", ["deb", "deb-builder", "deb-tree", "engine-portable", "test-deb", "test-deb-inside"]
)
def test_the_build_s_scripts_are_sound(script: str):
    path = ROOT / "packaging" / script
    subprocess.run(["bash", "-n", path], check=True)
    if shutil.which("shellcheck"):
        subprocess.run(["shellcheck", "-x", "-S", "warning", path], check=True, cwd=ROOT)


def test_the_version_is_the_programs():
    first = (DEBIAN / "changelog").read_text().splitlines()[0]
    assert re.fullmatch(rf"ambientd \({re.escape(ambientd.__version__)}\) bookworm; urgency=\w+", first)


def test_the_package_is_for_debian_12s_python_and_brings_a_microphone():
    binary = (DEBIAN / "control").read_text().split("\n\n")[1]
    wanted = [
        "python3 (>= 3.11), python3 (<< 3.12)",
        "libportaudio2",
        "ambientd-model-base (>= 0.1.0) | ambientd-model",
    ]
    for each in wanted:
        assert each in binary


def test_every_question_is_documented_and_asked_or_told():
    questions = re.findall(r"^Template: (\S+)$", (DEBIAN / "ambientd.templates").read_text(), re.MULTILINE)
    scripts = "".join((DEBIAN / f"ambientd.{script}").read_text() for script in SCRIPTS)
    page = (ROOT / "docs/installing.md").read_text()
    for question in questions:
        assert question in scripts
        assert question == "ambientd/unusable" or f"`{question}`" in page


def test_each_override_has_its_reason():
    lines = (DEBIAN / "ambientd.lintian-overrides").read_text().splitlines()
    assert lines[0].startswith("#")
    assert all(line for line in lines)


def test_the_service_runs_what_the_package_installs():
    unit = (ROOT / "systemd/ambientd.service").read_text()
    assert re.search(r"^ExecStart=/opt/ambientd/bin/ambientd$", unit, re.MULTILINE)
    assert "command_of ambientd ambientd.__main__" in (ROOT / "packaging/deb-tree").read_text()


@pytest.mark.skipif(
    not list((ROOT / "build/deb").glob("ambientd_*.deb")), reason="no package was built (make deb)"
)
def test_the_built_package_holds_what_it_should():
    package = next((ROOT / "build/deb").glob("ambientd_*.deb"))
    listed = subprocess.run(["dpkg-deb", "-c", package], capture_output=True, text=True, check=True).stdout
    for path in (
        "./opt/ambientd/bin/ambientd", "./usr/bin/ambientctl ->", "./lib/systemd/system/ambientd.service",
        "./etc/ambientd/ambientd.toml", "./usr/share/ambientd/vocabulary.txt", "./usr/lib/sysusers.d/ambientd.conf",
        "libggml-cpu-x64.so", "libggml-cpu-zen4.so", "./usr/share/man/man1/ambientctl.1.gz",
    ):  # fmt: skip
        assert path in listed, path
    assert ".pyc" not in listed
    conffiles = subprocess.run(
        ["dpkg-deb", "-I", package, "conffiles"], capture_output=True, text=True, check=True
    )
    assert conffiles.stdout.split() == ["/etc/ambientd/ambientd.toml"]
