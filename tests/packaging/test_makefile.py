"""The set-up behind ``make run`` and ``make test``: a real make, real scripts, and a pretended machine.

The machine is a directory of programs that stands first, or alone, in ``PATH``: a Python whose pip only notes
what it was asked for, a compiler that names its processor.  So every path of the set-up runs in milliseconds.
"""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

import pytest

ROOT = Path(__file__).parents[2]
SCRIPTS = ["system-packages", "environment", "engine-build", "lock", "steps.sh"]
TOOLS = "awk bash cat cut date df dirname env flock grep head id kill ls mkdir mv rm sed sh sha256sum sleep sort stat"
TOOLS += " tail touch tput tr uname chmod cp readlink"

PYTHON = """\
    #!/bin/bash
    # -m venv DIR and -m pip: note, and leave what the real ones would leave; -c: answer what is asked
    here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
    machine=$(cat "$here/machine")
    case "$*" in
      "-m venv "*)
        mkdir -p "$3/bin" "$3/lib/python3.11"
        cp "$here/python3" "$3/bin/python"
        cp "$here/machine" "$3/bin/machine" ;;
      "-m pip "*)
        echo "$*" >>"$machine/pip.log"
        if [ -e "$machine/fails" ] && grep -qE "$(cat "$machine/fails")" <<<"$*"; then exit 1; fi
        while [ $# -gt 0 ]; do
          case $1 in -w) touch "$2/pywhispercpp-1-linux.whl" ;; -d) touch "$2/pywhispercpp-1.tar.gz" ;; esac
          shift
        done ;;
      *sysconfig*) echo "$machine" ;;
      *whisper_print_system_info*) [ ! -e "$machine/illegal" ] && echo "CPU : AVX2 = 1 | FMA = 1 | LLAMAFILE = 1" ;;
      *platform*) echo "Python 3.11.2" ;;
      *version_info*) if [[ $* == *sys.exit* ]]; then exit 0; else echo 3.11; fi ;;
      "- 3.11") cat "$machine/missing" ;;
    esac
"""
COMPILER = """\
    #!/bin/bash
    echo " /usr/lib/cc1plus -E -v /dev/null $(cat "$(dirname "$0")/../processor") -dumpbase null" >&2
"""


@dataclass(frozen=True, slots=True)
class Machine:
    """A checkout with the packaging scripts, on a machine of our making."""

    root: Path
    programs: Path

    def run(self, script: str, *args: str, **variables: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": str(self.programs), "HOME": str(self.root), "LANG": "C.UTF-8", **variables}
        return subprocess.run(
            [str(self.root / "packaging" / script), *args],
            env=env, capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip

    def done(self, script: str, *args: str, **variables: str) -> str:
        """What a run said, which must have succeeded."""
        result = self.run(script, *args, **variables)
        assert result.returncode == 0, result.stdout + result.stderr
        return result.stdout + result.stderr

    def program(self, name: str, text: str) -> None:
        path = self.programs / name
        path.write_text(dedent(text))
        path.chmod(0o755)

    def has(self, name: str, text: str = "") -> None:
        """A fact of the machine: what is missing, which processor, which pip call fails."""
        (self.root / name).write_text(text)

    def asked_of_pip(self) -> list[str]:
        """The calls since the last look, without the options that all of them have."""
        log = self.root / "pip.log"
        calls = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return [re.sub(r"-m pip|--disable-pip-version-check|--no-input", "", call).strip() for call in calls]

    def stamp(self, name: str) -> str | None:
        path = self.root / ".venv" / "stamps" / name
        return path.read_text() if path.exists() else None


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine that lacks nothing, as an ordinary user, with a C++ compiler."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for tool in TOOLS.split():
        found = shutil.which(tool)
        if found is not None:
            (programs / tool).symlink_to(found)
    shutil.copytree(ROOT / "packaging", tmp_path / "packaging")
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    made = Machine(tmp_path, programs)
    (programs / "id").unlink()
    made.program("id", "#!/bin/sh\n[ $1 = -un ] && echo nurse || echo 1000\n")
    made.program("python3", PYTHON)
    made.program("c++", COMPILER)
    made.program("cc", "#!/bin/sh\n")
    made.program("pkg-config", "#!/bin/sh\n")
    made.program("chromium", "#!/bin/sh\n")
    made.program("certutil", "#!/bin/sh\n")
    for tool in ("pulseaudio", "paplay", "pactl"):
        made.program(tool, "#!/bin/sh\n")
    made.program("apt-get", '#!/bin/sh\necho "apt-get $*" >>"$(dirname "$0")/../apt.log"\n')
    made.program("sudo", "#!/bin/sh\nexit 1\n")
    (programs / "machine").write_text(str(tmp_path))
    made.has("Python.h")
    made.has("missing")
    made.has("processor", "-march=znver3 -mavx2 -mavx512f")
    return made


def make(*args: str) -> str:
    # a make within `make test` must not take over its flags, nor the settings of a thorough run
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("MAKE", "MFLAGS", "AMBIENTD_"))
    }
    return subprocess.run(
        ["make", *args], cwd=ROOT, env=env, check=True, capture_output=True, text=True
    ).stdout


# -- the Makefile


def test_help_lists_every_target_for_people() -> None:
    listed = re.findall(r"^make ([\w-]+) +\S", make("help"), re.MULTILINE)
    assert listed == [
        *("help", "run", "demo", "test", "week", "kills", "unplug", "walk"),
        *("lint", "types", "pages", "bench", "model", "deb", "test-deb", "lock", "clean"),
    ]


def test_make_alone_shows_the_help() -> None:
    assert make() == make("help")


@pytest.mark.parametrize(
    ("target", "steps"),
    [
        ("run", ["system-packages", "environment run", "engine-build", "ambientd"]),
        ("test", ["system-packages", "environment dev", "ruff check", "mypy", "engine-build", "pytest"]),
    ],
)
def test_the_two_commands_do_the_set_up_in_order(target: str, steps: list[str]) -> None:
    plan = make("-n", target)
    positions = [plan.find(step) for step in steps]
    assert -1 not in positions
    assert positions == sorted(positions)


@pytest.mark.parametrize(
    ("target", "step"),
    [
        ("week", r"AMBIENTD_WEEK=full \S+pytest -s (\S+)$"),
        ("kills", r"AMBIENTD_KILLS=200 \S+pytest -s --timeout \d+ (\S+)$"),
        ("unplug", r"AMBIENTD_MICROPHONE_SECONDS=600 \S+pytest -s --timeout \d+ (\S+)$"),
    ],
)
def test_the_acceptance_runs_are_whole_and_show_their_figures(target: str, step: str) -> None:
    found = re.search(step, make("-n", target), re.MULTILINE)

    assert found
    assert (ROOT / found[1]).is_file()


def test_clean_keeps_the_conversations() -> None:
    assert ".state" not in make("-n", "clean")


@pytest.mark.parametrize("script", SCRIPTS)
def test_scripts_are_bash(script: str) -> None:
    checked = subprocess.run(["bash", "-n", ROOT / "packaging" / script], capture_output=True, check=False)

    assert checked.returncode == 0, checked.stderr.decode()


def test_scripts_please_shellcheck() -> None:
    if shutil.which("shellcheck") is None:
        pytest.skip("no shellcheck here")
    scripts = [ROOT / "packaging" / script for script in SCRIPTS]
    result = subprocess.run(
        ["shellcheck", "-x", *scripts, ROOT / ".ci" / "run"], capture_output=True, text=True, check=False
    )
    assert result.stdout == ""


def test_locks_name_no_index_and_hash_everything() -> None:
    for lock in sorted((ROOT / "packaging").glob("*.lock")):
        text = lock.read_text()
        assert "://" not in text, lock.name
        assert not re.search(r"^\S*index", text, re.MULTILINE), lock.name
        pins = re.findall(r"^\S+==\S+( \\\n +--hash=sha256:[0-9a-f]{64})?", text, re.MULTILINE)
        assert pins, lock.name
        assert all(pins), lock.name


# -- system packages


def test_a_user_gets_the_exact_command_to_type(machine: Machine) -> None:
    machine.has("missing", "python3.11-venv\nlibportaudio2\n")
    (machine.programs / "c++").unlink()
    result = machine.run("system-packages")
    assert result.returncode != 0
    assert (
        "sudo sh -c 'apt-get update && apt-get install -y --no-install-recommends "
        "python3.11-venv libportaudio2 g++'\n"
    ) in result.stderr
    assert not (machine.root / "apt.log").exists()


def test_without_apt_it_says_what_is_needed(machine: Machine) -> None:
    machine.has("missing", "libportaudio2\n")
    (machine.programs / "apt-get").unlink()
    result = machine.run("system-packages")
    assert result.returncode != 0
    assert "libportaudio2: the microphone" in result.stderr
    assert "no apt here" in result.stderr


def test_missing_packages_can_be_done_without(machine: Machine) -> None:
    machine.has("missing", "libportaudio2\n")
    assert "the microphone" in machine.done("system-packages", SYSTEM_PACKAGES="skip")


def test_a_machine_that_lacks_nothing_is_left_alone(machine: Machine) -> None:
    assert machine.done("system-packages", "--browser") == ""
    assert machine.done("system-packages", "--sound") == ""
    assert not (machine.root / "apt.log").exists()


def test_root_installs_and_looks_again(machine: Machine) -> None:
    machine.has("missing", "libportaudio2\n")
    machine.program("id", "#!/bin/sh\n[ $1 = -un ] && echo root || echo 0\n")
    machine.program("dpkg", "#!/bin/sh\n")
    machine.program(
        "apt-get",
        """\
        #!/bin/sh
        echo "apt-get $*" >>"$(dirname "$0")/../apt.log"
        [ $1 = update ] || : >"$(dirname "$0")/../missing"
        """,
    )
    machine.done("system-packages")
    asked = (machine.root / "apt.log").read_text()
    assert asked.startswith("apt-get update\napt-get install -y")
    assert asked.rstrip().endswith(" libportaudio2")


def test_root_is_told_when_apt_did_not_help(machine: Machine) -> None:
    machine.has("missing", "libportaudio2\n")
    machine.program("id", "#!/bin/sh\n[ $1 = -un ] && echo root || echo 0\n")
    machine.program("dpkg", "#!/bin/sh\n")
    result = machine.run("system-packages")
    assert result.returncode != 0
    assert "not found" in result.stderr


def test_an_old_python_is_named(machine: Machine) -> None:
    machine.program("python3", "#!/bin/sh\ncase $2 in *platform*) echo 3.9.2;; *) exit 1;; esac\n")
    result = machine.run("system-packages")
    assert result.returncode != 0
    assert "python3 here is 3.9.2; ambientd needs 3.11 or newer" in result.stderr


def test_without_a_browser_the_tests_go_on(machine: Machine) -> None:
    (machine.programs / "chromium").unlink()
    said = machine.done("system-packages", "--browser")
    assert "page's tests will be skipped" in said
    assert "apt-get install -y --no-install-recommends chromium" in said


def test_without_a_sound_server_the_tests_go_on(machine: Machine) -> None:
    (machine.programs / "pulseaudio").unlink()
    said = machine.done("system-packages", "--sound")
    assert "some of the microphone's tests will be skipped" in said
    assert "install -y --no-install-recommends pulseaudio pulseaudio-utils libasound2-plugins" in said


# -- the environment


def locks_in(calls: list[str]) -> set[str]:
    return {lock for call in calls for lock in re.findall(r"packaging/(\S+)\.lock", call)}


def test_the_environment_is_made_from_the_locks_once(machine: Machine) -> None:
    machine.done("environment", "run")
    calls = machine.asked_of_pip()
    assert locks_in(calls) == {"requirements", "requirements-build", "requirements-systemd"}
    assert all("--require-hashes" in call for call in calls if ".lock" in call)
    assert any(call.endswith("-e .") for call in calls)
    assert machine.done("environment", "run") == ""
    assert machine.asked_of_pip() == []


def test_development_adds_to_what_runs(machine: Machine) -> None:
    machine.done("environment", "run")
    machine.asked_of_pip()
    (machine.root / ".venv" / "mine").touch()
    machine.done("environment", "dev")
    assert locks_in(machine.asked_of_pip()) == {"requirements-dev"}
    machine.done("environment", "run")
    assert machine.asked_of_pip() == []
    assert (machine.root / ".venv" / "mine").exists()


@pytest.mark.parametrize("lock", ["requirements", "requirements-build", "requirements-systemd"])
def test_a_changed_lock_makes_the_environment_anew(machine: Machine, lock: str) -> None:
    machine.done("environment", "run")
    (machine.root / ".venv" / "old").touch()
    with (machine.root / "packaging" / f"{lock}.lock").open("a") as file:
        file.write("another==1.0\n")
    machine.done("environment", "run")
    assert not (machine.root / ".venv" / "old").exists()
    assert lock in locks_in(machine.asked_of_pip())


@pytest.mark.parametrize("level", ["run", "dev"])
def test_an_unfinished_environment_is_not_trusted(machine: Machine, level: str) -> None:
    machine.done("environment", "run")
    if level == "run":
        shutil.rmtree(machine.root / ".venv")
    machine.has("fails", "requirements")
    assert machine.run("environment", level).returncode != 0
    assert machine.stamp("environment") is None
    (machine.root / "fails").unlink()
    (machine.root / ".venv" / "half").touch()
    machine.done("environment", level)
    assert not (machine.root / ".venv" / "half").exists()
    assert machine.stamp("environment") is not None


def test_an_environment_whose_python_went_away_is_made_anew(machine: Machine) -> None:
    machine.done("environment", "run")
    (machine.root / ".venv" / "bin" / "python").unlink()
    machine.done("environment", "run")
    assert (machine.root / ".venv" / "bin" / "python").exists()


def test_new_entry_points_install_the_package_only(machine: Machine) -> None:
    machine.done("environment", "run")
    machine.asked_of_pip()
    with (machine.root / "pyproject.toml").open("a") as file:
        file.write("\n")
    machine.done("environment", "run")
    (call,) = machine.asked_of_pip()
    assert call.endswith("-e .")


# -- the engine


def test_the_engine_is_built_for_this_processor_once(machine: Machine) -> None:
    machine.done("environment", "run")
    machine.asked_of_pip()
    said = machine.done("engine-build", PIP_INDEX_URL="secret")
    assert "AVX2 FMA LLAMAFILE" in said
    kinds = [call.split()[0] for call in machine.asked_of_pip()]
    assert kinds == ["download", "wheel", "install"]
    assert "native: AVX2" in (machine.stamp("engine") or "")
    assert machine.done("engine-build") == ""
    assert machine.asked_of_pip() == []


def test_a_new_environment_takes_the_engine_that_was_built(machine: Machine) -> None:
    machine.done("environment", "run")
    machine.done("engine-build")
    shutil.rmtree(machine.root / ".venv")
    machine.done("environment", "run")
    machine.asked_of_pip()
    machine.done("engine-build")
    assert [call.split()[0] for call in machine.asked_of_pip()] == ["install"]


@pytest.mark.parametrize("change", ["processor", "lock"])
def test_another_processor_or_lock_builds_again(machine: Machine, change: str) -> None:
    machine.done("environment", "run")
    machine.done("engine-build")
    machine.asked_of_pip()
    if change == "processor":
        machine.has("processor", "-march=haswell -mavx2")
    else:
        lock = machine.root / "packaging" / "requirements.lock"
        lock.write_text(lock.read_text().replace("pywhispercpp==1.5.1", "pywhispercpp==1.5.2"))
    machine.done("engine-build")
    assert "wheel" in [call.split()[0] for call in machine.asked_of_pip()]


def locked_wheel(calls: list[str]) -> bool:
    return any(
        call.startswith("install --force-reinstall") and "--only-binary :all:" in call for call in calls
    )


def test_without_a_compiler_the_locked_wheel_is_used_and_said_each_time(machine: Machine) -> None:
    machine.done("environment", "run")
    (machine.programs / "c++").unlink()
    machine.asked_of_pip()
    assert "THE SLOW SPEECH ENGINE IS IN USE" in machine.done("engine-build")
    assert locked_wheel(machine.asked_of_pip())
    assert "the slow speech engine is in use: no C++ compiler" in machine.done("engine-build")
    machine.program("c++", COMPILER)
    assert "built here" in machine.done("engine-build")


@pytest.mark.parametrize(
    ("trouble", "why"), [("fails", "its build failed"), ("illegal", "what was built does not load")]
)
def test_a_failed_build_falls_back_and_is_not_tried_again_unasked(
    machine: Machine, trouble: str, why: str
) -> None:
    machine.done("environment", "run")
    machine.has(trouble, " wheel ")
    machine.asked_of_pip()
    assert why in machine.done("engine-build")
    assert locked_wheel(machine.asked_of_pip())
    assert "rm .venv/stamps/engine" in machine.done("engine-build")
    assert machine.asked_of_pip() == []
