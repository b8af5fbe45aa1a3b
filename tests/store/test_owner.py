"""Root's shell works with the rights of the daemon's user: a link that user has put there leads nowhere else."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ambientd import config
from ambientd.ctl import main
from ambientd.store.database import open_database
from ambientd.store.migrate import MIGRATIONS
from ambientd.store.owner import as_owner

NOBODY = 65_534
NOWHERE = "http://127.0.0.1:1"


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """The directory of a box that was started once; below one that everybody may pass, as tmp_path is not."""
    if os.geteuid() != 0:
        pytest.skip("only root can act for others")
    if any(not folder.stat().st_mode & 0o001 for folder in MIGRATIONS.parents):
        pytest.skip(
            "the checkout lies where only root may go: the daemon's user could not read its tables' history"
        )
    above = Path(tempfile.mkdtemp())
    above.chmod(0o711)
    folder = above / "var-lib-ambientd"
    folder.mkdir(mode=0o700)
    os.chown(folder, NOBODY, NOBODY)
    monkeypatch.setattr(config.layers, "SYSTEM_FILE", tmp_path / "none.toml")
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(folder))

    async def start(path: Path) -> None:
        async with open_database(path):
            pass

    # Once as root: the interpreter of a test may lie where nobody else can import from it later.
    asyncio.run(start(tmp_path / "ambientd.db"))
    with as_owner(folder):
        asyncio.run(start(folder / "ambientd.db"))
    yield folder
    shutil.rmtree(above)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(main, list(arguments))


def owners(folder: Path) -> set[int]:
    return {path.lstat().st_uid for path in folder.iterdir()}


def test_what_root_does_leaves_nothing_that_the_daemon_cannot_use(state: Path, tmp_path: Path) -> None:
    target = tmp_path / "box.backup"
    for command in (
        ("backup", str(target), "--url", NOWHERE),
        ("key", "recovery"),
        ("key", "rotate"),
        ("backup", f"{target}2", "--url", NOWHERE),
        ("restore", "--force", f"{target}2"),
    ):
        ended = run(*command)
        assert ended.exit_code == 0, ended.output
        assert owners(state) == {NOBODY}, command
    assert (target.stat().st_uid, os.geteuid(), os.getegid()) == (0, 0, 0)


@pytest.mark.parametrize("name", ["ambientd.db.lock", "box.key", "ambientd.db-wal", "ambientd.db"])
def test_a_link_to_a_file_of_roots_leaves_that_file_alone(state: Path, tmp_path: Path, name: str) -> None:
    taken = tmp_path / "taken"
    assert run("backup", str(taken), "--url", NOWHERE).exit_code == 0
    # Where nothing but root's rights keeps anybody from it.
    precious = state.parent / "passwd"
    precious.write_text("root\n" if name != "box.key" else (state / name).read_text())
    precious.chmod(0o644)
    before = (precious.read_bytes(), precious.stat())
    (state / name).unlink(missing_ok=True)
    (state / name).symlink_to(precious)
    for command in (
        ("key", "rotate", "--force"),
        ("backup", str(tmp_path / "b"), "--url", NOWHERE),
        ("restore", "--force", str(taken)),
    ):
        run(*command)
        after = (precious.read_bytes(), precious.stat())
        assert after[0] == before[0]
        assert (after[1].st_uid, after[1].st_mode) == (before[1].st_uid, before[1].st_mode)


def test_a_directory_of_roots_reached_through_the_daemons_own_is_the_daemons(
    state: Path, tmp_path: Path
) -> None:
    (state / "store").symlink_to(tmp_path)
    os.chown(state / "store", 0, 0, follow_symlinks=False)
    with as_owner(state / "store"):
        assert os.geteuid() == NOBODY


def test_a_credential_that_only_root_can_read_is_read_before(
    state: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (state / "box.key").rename(tmp_path / "ambientd-box-key")
    os.chown(tmp_path / "ambientd-box-key", 0, 0)
    assert run("backup", str(tmp_path / "without"), "--url", NOWHERE).exit_code == 1
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    ended = run("backup", str(tmp_path / "with"), "--url", NOWHERE)
    assert ended.exit_code == 0, ended.output
