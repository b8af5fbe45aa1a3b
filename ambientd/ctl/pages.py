"""The manual pages and the shells' completion, written from the commands and the settings themselves.

    python -m ambientd.ctl.pages    writes packaging/man/ and packaging/completion/ of a checkout afresh

Nothing in them is kept by hand twice: a test compares the files with what would be written.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from click.shell_completion import get_completion_class

from ambientd import __main__, __version__
from ambientd.config.faults import tables, unit
from ambientd.config.layers import variable
from ambientd.config.pages import default, one_line
from ambientd.config.tables import SEED_NAMES, Settings
from ambientd.ctl import COMMANDS, main

PROGRAM: Final = "ambientctl"

SHELLS: Final = {"bash": "ambientctl.bash", "zsh": "_ambientctl", "fish": "ambientctl.fish"}
"""Shell -> name of its file, as the shells' own directories want it."""

EXIT_STATUS: Final = """\
.SH EXIT STATUS
.TP
.B 0
It was done; for
.BR status ", " doctor :
nothing is wrong.
.TP
.B 1
It was not done, and why is on standard error; for
.BR status ", " doctor :
a warning.
.TP
.B 2
The command line is wrong; for
.BR status ", " doctor :
something is critical, or no daemon answers.  A monitoring system takes the three as they are.
"""

FILES: Final = """\
.SH FILES
.TP
.I /etc/ambientd/ambientd.toml
The settings:
.BR ambientd.toml (5).
.TP
.I /run/ambientd/control.sock
The socket on which
.BR ambientctl (1)
speaks to the daemon; for the daemon's user and group.
.TP
.I /var/lib/ambientd
Database, key, models.
"""


def text(words: str) -> str:
    """Words as roff prints them unchanged."""
    escaped = words.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return "\n".join(f"\\&{line}" if line[:1] in {".", "'"} else line for line in escaped.split("\n"))


def paragraphs(words: str | None) -> Iterator[str]:
    """A docstring as roff, a paragraph at a time; what click is told about layout is left out."""
    for each in inspect.cleandoc(words or "").split("\n\n"):
        yield ".PP\n" + text(" ".join(each.replace("\b", "").split()))


def commands() -> str:
    """``ambientctl(1)``."""
    context = click.Context(main, info_name=PROGRAM)
    parts = [
        _head(PROGRAM, 1, "look after an ambientd installation"),
        ".SH SYNOPSIS\n.B ambientctl\n[\\fIOPTIONS\\fR] \\fICOMMAND\\fR [\\fIARGS\\fR]...",
        ".SH DESCRIPTION",
        text(
            "What an operator does besides running the daemon. The commands that need it speak to a running daemon"
            " over its control socket, where that is there, else over its port on this machine."
        ),
        ".SH OPTIONS",
        *_options(main, context),
        ".SH COMMANDS",
    ]
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None  # noqa: S101 - listed in COMMANDS
        parts += _command(command, click.Context(command, info_name=name, parent=context))
    see = ".SH SEE ALSO\n.BR ambientd (8),\n.BR ambientd.toml (5)"
    return "\n".join([*parts, EXIT_STATUS.rstrip(), FILES.rstrip(), see]) + "\n"


def _command(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = [context.command_path.removeprefix(f"{PROGRAM} "), *command.collect_usage_pieces(context)]
    yield f".SS {text(' '.join(usage))}"
    yield from paragraphs(command.help)
    yield from _options(command, context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None  # noqa: S101 - listed by the group itself
            yield from _command(inner, click.Context(inner, info_name=name, parent=context))


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for each in command.get_params(context):
        record = each.get_help_record(context)
        if record is not None and "--help" not in record[0]:
            yield f".TP\n.B {text(record[0])}\n{text(record[1])}"


def daemon() -> str:
    """``ambientd(8)``."""
    parser = __main__._arguments()  # noqa: SLF001 - the page is a part of the program
    parts = [
        _head("ambientd", 8, "live speech to text for the exam room"),
        ".SH SYNOPSIS\n.B ambientd\n[\\fB\\-\\-config\\fR \\fIFILE\\fR] [\\fB\\-\\-check\\-config\\fR]",
        ".SH DESCRIPTION",
        text(
            "The daemon of the box: it takes live audio over WebSocket or from the room's microphone, turns it into"
            " text on this machine's processor, keeps it encrypted, shows it to browsers, and delivers it to a central"
            " server. It is started by systemd; run by hand it writes its log to standard error."
        ),
        ".SH OPTIONS",
    ]
    for action in parser._actions:  # noqa: SLF001 - argparse has no other way to list them
        names = ", ".join(action.option_strings)
        parts.append(
            f".TP\n.B {text(f'{names} {action.metavar or str()}'.strip())}\n{text(action.help or '')}"
        )
    parts.append(
        """\
.SH SIGNALS
.TP
.BR SIGTERM ", " SIGINT
Running sessions are decoded to their end and stored, then the daemon stops.
.TP
.B SIGHUP
What can be changed without a restart is read again.
.SH EXIT STATUS
.TP
.B 0
It was stopped.
.TP
.B 1
Something outside must change first: weights, disk, port; the log says what.
.TP
.B 78
The settings are faulty; every fault is on standard error."""
    )
    see = ".SH SEE ALSO\n.BR ambientctl (1),\n.BR ambientd.toml (5),\n.BR systemctl (1)"
    return "\n".join([*parts, FILES.rstrip(), see]) + "\n"


def settings() -> str:
    """``ambientd.toml(5)``."""
    seed = {place: name for name, place in SEED_NAMES.items()}
    parts = [
        _head("ambientd.toml", 5, "settings of ambientd"),
        ".SH DESCRIPTION",
        text(
            "One TOML file, by default /etc/ambientd/ambientd.toml. The environment overrides it: a variable for each"
            " setting is named below. A wrong setting keeps the daemon from starting, and every fault is named at once;"
            ' "ambientd --check-config" shows what is in force and where it came from.'
        ),
        ".SH SETTINGS",
    ]
    for name, model in tables(Settings):
        parts.append(f".SS {text(f'[{name}]')}\n{text(one_line(model.__doc__))}")
        for key, field in model.model_fields.items():
            counted = f" {unit(field)}" if unit(field) else ""
            variables = " ".join(filter(None, (variable(name, key), seed.get((name, key)))))
            parts.append(
                f".TP\n.B {text(f'{key} = {default(field)}')}{text(counted)}\n{text(one_line(field.description))}"
                f"\n.br\nEnvironment: {text(variables)}"
            )
    see = ".SH SEE ALSO\n.BR ambientd (8),\n.BR ambientctl (1)"
    return "\n".join([*parts, FILES.rstrip(), see]) + "\n"


def _head(name: str, section: int, about: str) -> str:
    # Without a date: two builds of one version must not differ.
    return (
        '.\\" Written by ambientd.ctl.pages; change it there.\n'
        f'.TH {name.upper()} {section} "" "ambientd {__version__}"\n'
        f".SH NAME\n{text(name)} \\- {about}"
    )


def completion(shell: str) -> str:
    """What a shell reads to complete ``ambientctl``."""
    found = get_completion_class(shell)
    assert found is not None  # noqa: S101 - click knows the shells of SHELLS
    made = found(main, {}, PROGRAM, "_AMBIENTCTL_COMPLETE")
    # Not source(): that of bash looks for a bash to judge its version, and there may be none where this is built.
    return (made.source_template % made.source_vars()).strip() + "\n"


def written() -> dict[str, str]:
    """Every file, by its place in a checkout."""
    return {
        "packaging/man/ambientctl.1": commands(),
        "packaging/man/ambientd.8": daemon(),
        "packaging/man/ambientd.toml.5": settings(),
        **{f"packaging/completion/{name}": completion(shell) for shell, name in SHELLS.items()},
    }


def write(root: Path) -> None:
    """Write all of them below ``root``."""
    for place, content in written().items():
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
