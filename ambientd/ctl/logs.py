"""``ambientctl logs``: what the daemon has written to the journal."""

from __future__ import annotations

import shutil
import subprocess
import sys

import click

from ambientd.checkup import outside
from ambientd.ctl.options import as_json
from ambientd.errors import OperatorError


@click.command()
@click.option("-n", "--lines", default=100, show_default=True, metavar="N", help="The last N lines.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what is written from now on.")
@click.option("--since", metavar="TIME", help='From then on, as journalctl takes it: "today", "-1h", a date.')
@as_json
def logs(lines: int, since: str | None, *, follow: bool, as_json: bool) -> None:
    """Show the daemon's log: ids, figures and places, never a word of a conversation.

    With --json one object a line, as journalctl writes it.
    """
    program = journal()
    arguments = [program, "--unit", outside.UNIT, "--no-pager", "--lines", str(lines)]
    if since:
        arguments += ["--since", since]
    if follow:
        arguments.append("--follow")
    if as_json:
        arguments += ["--output", "json"]
    try:
        done = subprocess.run(arguments, check=False)  # noqa: S603 - journalctl, with options of ours
    except KeyboardInterrupt:  # how one leaves --follow
        return
    sys.exit(done.returncode)


def journal() -> str:
    """The program that reads the journal.

    Raises:
        OperatorError: there is no journal here that could hold lines of the service.
    """
    by_hand = (
        "A daemon that was started by hand writes its log to its standard error: look where it was started."
    )
    program = shutil.which("journalctl")
    if program is None:
        raise OperatorError(
            "there is no journal on this machine (journalctl is not installed).", hint=by_hand
        )
    state = outside.unit_state()
    if not state:
        raise OperatorError("there is no journal here: systemd does not run on this machine.", hint=by_hand)
    if state.get("LoadState") != "loaded":
        raise OperatorError(
            "the service ambientd is not installed on this machine: it has no log.", hint=by_hand
        )
    return program
