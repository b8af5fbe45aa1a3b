"""The manual pages and the completion are those of the commands and settings there are."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from ambientd import __version__
from ambientd.ctl import COMMANDS, main, pages

ROOT = Path(__file__).parent.parent.parent
MAN = sorted((ROOT / "packaging/man").iterdir())
WRITTEN = pages.written()


@pytest.mark.parametrize("place", sorted(WRITTEN))
def test_the_file_is_up_to_date(place):
    assert (ROOT / place).read_text() == WRITTEN[place], "make pages writes it again"


def test_every_command_and_option_is_in_the_page():
    page = pages.commands().replace("\\-", "-")
    context = click.Context(main, info_name="ambientctl")
    for name in COMMANDS:
        assert f"\n.SS {name} " in page
        for parameter in main.get_command(context, name).params:
            assert all(option in page for option in parameter.opts if option.startswith("--"))


@pytest.mark.skipif(shutil.which("man") is None, reason="there is no man here")
@pytest.mark.parametrize("path", MAN, ids=lambda path: path.name)
def test_man_renders_it_without_a_warning(path):
    done = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", path],
        capture_output=True,
        text=True,
        env={**os.environ, "MANWIDTH": "80", "LC_ALL": "C.UTF-8", "MANROFFSEQ": ""},
        check=True,
    )
    assert done.stderr == ""
    shown = re.sub(".\b", "", done.stdout)  # bold is a letter struck twice
    assert "NAME\n" in shown
    assert f"ambientd {__version__}" in shown


def test_quotes_points_and_backslashes_come_out_as_they_are():
    assert pages.text('.a "b"\n\'c\\d') == "\\&.a \\(dqb\\(dq\n\\&'c\\ed"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_and_options(tmp_path):
    program = tmp_path / "ambientctl"
    program.write_text(f"#!{sys.executable}\nfrom ambientd.ctl import main\nmain()\n")
    program.chmod(0o755)
    script = (
        f". {ROOT}/packaging/completion/ambientctl.bash 2>/dev/null\n"
        'complete_line() { COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=();'
        ' _ambientctl_completion ambientctl; echo "${COMPREPLY[*]}"; }\n'
        "complete_line ambientctl st\ncomplete_line ambientctl doctor --js\n"
    )
    done = subprocess.run(
        ["bash", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        check=True,
    )
    assert done.stdout.split("\n")[:2] == ["status", "--json"]


def test_completing_imports_no_command():
    code = (
        "import sys\nfrom ambientd.ctl import main\n"
        "from click.shell_completion import ShellComplete\n"
        "class One(ShellComplete): pass\n"
        "found = One(main, {}, 'ambientctl', 'X').get_completions([], 's')\n"
        "print([each.value for each in found], 'aiohttp' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout == "['setup', 'status', 'sync'] False\n"
