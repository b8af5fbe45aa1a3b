"""The settings as text for people: what is in effect, the sample file, the table in the documentation."""

from __future__ import annotations

import sys
import textwrap
from pathlib import Path

from pydantic.fields import FieldInfo

from ambientd.config.faults import quoted, tables, unit
from ambientd.config.kinds import Packaged
from ambientd.config.layers import variable
from ambientd.config.tables import SEED_NAMES, Settings

BEGIN, END = "<!-- settings: begin -->", "<!-- settings: end -->"
"""Between these lines ``docs/settings.md`` is printed from the code; the rest of it is written by hand."""

_HEAD = """\
# ambientd settings.
#
# Every setting stands here with its default, behind a "#": take that away and change the value.  What
# stays behind it follows the default of the installed version.  The environment overrides this file:
# AMBIENTD_SERVER__PORT=8001.  A wrong setting keeps the service from starting; "ambientd --check-config"
# says what is wrong, and what is in effect.
"""


def describe(settings: Settings) -> str:
    """The settings in effect as TOML, each with its origin.  Secrets are hidden."""
    lines: list[str] = []
    for name, _ in tables(type(settings)):
        values = getattr(settings, name)
        entries = {key: f"{key} = {quoted(getattr(values, key))}" for key in type(values).model_fields}
        width = max(map(len, entries.values()))
        lines.append(f"[{name}]")
        lines += [f"{entry:{width}}  # {settings.origin(name, key)}" for key, entry in entries.items()]
        lines.append("")
    return "\n".join(lines)


def default(field: FieldInfo) -> str:
    """A setting's default as TOML writes it."""
    packaged = (mark.value for mark in field.metadata if isinstance(mark, Packaged))
    return quoted(next(packaged, field.get_default()))


def one_line(text: str | None) -> str:
    """A docstring without its line breaks."""
    return " ".join((text or "").split())


def sample() -> str:
    """``config/ambientd.toml``."""
    parts = [_HEAD]
    for name, model in tables(Settings):
        parts.append(f"\n\n# {one_line(model.__doc__)}\n[{name}]\n")
        for key, field in model.model_fields.items():
            about = textwrap.fill(f"# {one_line(field.description)}", 100, subsequent_indent="# ")
            counted = f"  # {unit(field)}" if unit(field) else ""
            parts.append(f"\n{about}\n#{key} = {default(field)}{counted}\n")
    return "".join(parts)


def reference() -> str:
    """The part of ``docs/settings.md`` between the marks."""
    seed = {place: name for name, place in SEED_NAMES.items()}
    parts = []
    for name, model in tables(Settings):
        parts.append(f"\n## [{name}]\n\n{one_line(model.__doc__)}\n\n")
        parts.append("| key | default | unit | what it is | environment |\n| --- | --- | --- | --- | --- |\n")
        for key, field in model.model_fields.items():
            variables = [variable(name, key), seed.get((name, key))]
            names = ", ".join(f"`{each}`" for each in variables if each)
            about = one_line(field.description)
            cells = [f"`{key}`", f"`{default(field)}`", unit(field) or "-", about, names]
            parts.append(f"| {' | '.join(cells)} |\n")
    return "".join(parts)


def documented(page: str) -> str:
    """``docs/settings.md`` with its tables brought up to date."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{reference()}\n{END}{after}"


def main(root: Path) -> None:
    """Write both files of the checkout at ``root`` afresh."""
    (root / "config/ambientd.toml").write_text(sample())
    page = root / "docs/settings.md"
    page.write_text(documented(page.read_text()))


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "."))
