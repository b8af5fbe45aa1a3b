"""``ambientctl key`` on a real file."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ambientd.ctl import main
from ambientd.store.database import open_database


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))
    path = tmp_path / "ambientd.db"

    async def make() -> None:
        async with open_database(path):
            pass

    asyncio.run(make())
    return path


def run(*args: str, typed: str | None = None) -> Result:
    return CliRunner().invoke(main, ["key", *args], input=typed)


def test_the_life_of_a_key(path: Path) -> None:
    """Made, seen, printed, changed, lost, brought back."""
    first = run("status")
    assert "in the file" in first.output
    assert "never printed" in first.output

    printed = re.findall(r"^    ([0-9A-Z-]+)$", run("recovery").output, re.MULTILINE)
    assert "printed" in run("status").output
    assert "old one is destroyed" in run("rotate").output
    changed = run("status").output
    assert changed.splitlines()[0] != first.output.splitlines()[0]

    path.with_name("box.key").unlink()
    assert "not at hand" in run("status").output
    restored = run("restore", typed="-".join(printed) + "\n")
    assert restored.exit_code == 0, restored.output
    assert printed[0] not in restored.output
    assert run("status").output == changed


def test_the_only_way_to_the_backups_is_not_destroyed_unasked(path: Path) -> None:
    refused = run("rotate")
    assert refused.exit_code == 1
    assert "no recovery key was ever printed" in refused.output
    assert "cannot be read any more" in run("rotate", "--force").output
    run("recovery")
    assert "since the recovery key was printed need it now" in run("rotate").output


def test_a_mistyped_key_is_told(path: Path) -> None:
    refused = run("restore", typed="ABCD-EFGH\n")

    assert refused.exit_code == 1
    assert "a letter is missing or wrong" in refused.output
    assert path.with_name("box.key").exists()


def test_a_box_that_never_ran(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path / "nowhere"))
    refused = run("rotate")

    assert refused.exit_code == 1
    assert "no database" in refused.output
