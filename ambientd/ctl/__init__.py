"""The command ``ambientctl``: what an operator does besides running the daemon.

Each command lives in a module of its own, which is imported when the command is used: ``--help`` is instant, and
a missing library stops only the command that needs it.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import IO, Final

import click
from click.shell_completion import CompletionItem

from ambientd.config import Settings, load
from ambientd.errors import AmbientError

COMMANDS: Final = {
    "access": ("ambientd.ctl.access", "Seal an emergency code, and break the glass with it."),
    "accounts": ("ambientd.ctl.accounts", "See, add and revoke the accounts of people."),
    "audit": ("ambientd.ctl.audit", "Export the audit, and verify its chain."),
    "backup": ("ambientd.ctl.backup", "Take away a copy of everything, encrypted and checked."),
    "certificate": (
        "ambientd.ctl.certificate",
        "Look at the certificates, renew them, use one made elsewhere.",
    ),
    "devices": ("ambientd.ctl.devices", "See and revoke tablets and programs; give programs a token."),
    "diag": ("ambientd.ctl.diag", "Write a zip without patient data, to find a fault with."),
    "doctor": ("ambientd.ctl.doctor", "Check everything that goes wrong, and say what mends it."),
    "export": ("ambientd.ctl.export", "Write a stored transcript to a file."),
    "key": ("ambientd.ctl.key", "Look after the key that guards what is stored."),
    "limits": ("ambientd.ctl.limits", "See which addresses are shut out, and let them in again."),
    "listen": ("ambientd.ctl.listen", "Follow a session from its first line."),
    "logs": ("ambientd.ctl.logs", "Show the daemon's log."),
    "mic": ("ambientd.ctl.mic", "See, try out and record with the room's microphone."),
    "model": ("ambientd.ctl.model", "List, fetch, verify and import models."),
    "pair": ("ambientd.ctl.pair", "Let in the tablets that ask, or turn them away."),
    "purge": ("ambientd.ctl.purge", "Destroy what has been kept long enough, or one session."),
    "restore": ("ambientd.ctl.restore", "Put a backup in the place of the database."),
    "setup": ("ambientd.ctl.setup", "Show the code for the first account."),
    "status": ("ambientd.ctl.status", "Show the box on one screen."),
    "sync": ("ambientd.ctl.sync", "See and steer the deliveries to the central server."),
    "transcribe": ("ambientd.ctl.transcribe", "Transcribe an audio file."),
    "tune": ("ambientd.ctl.tune", "Measure this machine, and keep what suits it best."),
    "vocabulary": ("ambientd.ctl.vocabulary", "Check the clinic's list of names, and have it read again."),
    "version": ("ambientd.ctl.version", "Print the versions of ambientd and of what it stands on."),
}
"""Command -> the module that has it, under its own name, and what it does."""


class Failure(click.ClickException):
    """One of our errors, told as ``error: what happened`` and what to do; exit status 1, no traceback."""

    def __init__(self, error: AmbientError) -> None:
        super().__init__(error.message)
        self.hint = error.hint

    def show(self, file: IO[str] | None = None) -> None:
        """Print it, by default to standard error."""
        click.echo(f"error: {self.message}", file=file, err=file is None)
        if self.hint:
            click.echo(self.hint, file=file, err=file is None)


class Commands(click.Group):
    """A group that imports a command's module when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of ``COMMANDS``."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of that name, imported now."""
        del ctx
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name][0]), cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101 - a mistake in COMMANDS, not in use
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in ``--help``, from ``COMMANDS``: the base class would import them all for it."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, about) for name, (_, about) in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """What the shell offers, from ``COMMANDS``: the base class would import them all at each press of a key."""
        known = [CompletionItem(name, help=about) for name, (_, about) in COMMANDS.items()]
        found = [each for each in known if str(each.value).startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)

    def invoke(self, ctx: click.Context) -> object:
        """Runs the command; our errors become messages."""
        try:
            return super().invoke(ctx)
        except AmbientError as error:
            raise Failure(error) from error


@click.group(cls=Commands, name="ambientctl", context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Settings file (default: $AMBIENTD_CONFIG, else /etc/ambientd/ambientd.toml if it exists).",
)
@click.pass_context
def main(ctx: click.Context, config: Path | None) -> None:
    """Look after an ambientd installation."""
    ctx.obj = config


def settings() -> Settings:
    """The settings for the command that runs now, from the file named with ``--config``.

    Raises:
        ConfigError: with every fault.
    """
    return load(click.get_current_context().find_root().obj)
