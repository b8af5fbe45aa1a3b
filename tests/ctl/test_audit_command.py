"""``ambientctl audit`` against a daemon's own routes, over a real socket."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from click.testing import CliRunner

from ambientd.ctl import main


def run(*arguments: str):
    return CliRunner().invoke(main, ["audit", *arguments])


def test_export_writes_csv_to_a_file_and_never_over_one(operated: Any, tmp_path: Path) -> None:
    target = tmp_path / "audit.csv"
    assert run("export", "--format", "csv", "--output", str(target), "--url", operated.url).exit_code == 0
    head, *rows = target.read_text().splitlines()
    assert head.startswith("number,at,actor,action,object")
    assert [row.split(",")[4] for row in rows] == ["visit-0", "visit-1", "visit-2", ""]
    again = run("export", "--output", str(target), "--url", operated.url)
    assert again.exit_code == 1
    assert "name another" in again.output


def test_export_is_ndjson_on_standard_output(operated: Any) -> None:
    lines = run("export", "--url", operated.url).output.splitlines()
    assert len(lines) == 4
    assert all(line.startswith('{"number": ') for line in lines)


def test_verify_tells_how_far_and_the_last_hash(operated: Any) -> None:
    ended = run("verify", "--url", operated.url)
    assert ended.exit_code == 0
    assert "3 rows, unbroken from row 1." in ended.output


def test_verify_names_the_first_broken_link_and_exits_with_1(operated: Any) -> None:
    with closing(sqlite3.connect(operated.path)) as shell:
        shell.execute("DROP TRIGGER audit_log_is_not_changed")
        shell.execute("UPDATE audit_log SET object = 'visit-9' WHERE number = 2")
        shell.commit()
    ended = run("verify", "--url", operated.url)
    assert ended.exit_code == 1
    assert "broken at row 2" in ended.output


def test_without_a_daemon_the_command_says_so() -> None:
    ended = run("verify", "--url", "http://127.0.0.1:1")
    assert ended.exit_code == 1
    assert "No daemon answers" in ended.output
