"""Where settings come from: each source as a layer of values, before anything is checked."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo

from ambientd.config.faults import fields, meant
from ambientd.config.tables import SEED_NAMES, Settings

SYSTEM_FILE = Path("/etc/ambientd/ambientd.toml")
"""Read where it exists and no other file is named."""

INSTALLATION_FILE = Path("/etc/ambientd/installation.toml")
"""The answers given when the package was installed; the system's file overrides them.  Only those two go together: who
names another file means that one alone."""

STATE_OF_ROOT = Path("/var/lib/ambientd")
"""Where the packaged service keeps its state; a root shell beside it works on the same data."""

FILE_VARIABLE: Final = "AMBIENTD_CONFIG"
"""Names the settings file; not itself a setting."""

PREFIXES: Final = ("AMBIENTD_", "WEBSOCKET_")
"""All variables that begin so are ours: one that means nothing is a misspelt setting."""


@dataclass(frozen=True, slots=True)
class Layer:
    """What one source says."""

    source: str
    """As a reader knows it: a path, ``environment``, ``default``."""
    values: dict[str, Any] = field(default_factory=dict)
    """As in the file: table -> key -> value."""
    origins: dict[str, str] = field(default_factory=dict)
    """``table.key`` -> where exactly, where that is more than ``source``."""
    faults: list[str] = field(default_factory=list)
    """What is wrong with the source itself."""

    def origin(self, setting: str) -> str:
        """Where the value of ``table.key`` came from."""
        return self.origins.get(setting, self.source)


def from_file(path: Path | None, environ: Mapping[str, str]) -> Layer:
    """The TOML file: the one named, else the one in ``$AMBIENTD_CONFIG``, else the system's if it exists."""
    named = _named(path, environ)
    return _read(SYSTEM_FILE, optional=True) if named is None else _read(named, optional=False)


def from_installation(path: Path | None, environ: Mapping[str, str]) -> Layer:
    """What was answered when the package was installed; nothing where another file is named."""
    named = _named(path, environ)
    return _read(INSTALLATION_FILE, optional=True) if named is None else Layer("default")


def _named(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    return path or (Path(environ[FILE_VARIABLE]) if environ.get(FILE_VARIABLE) else None)


def _read(chosen: Path, *, optional: bool) -> Layer:
    try:
        return Layer(str(chosen), tomllib.loads(chosen.read_bytes().decode("utf-8-sig")))
    except FileNotFoundError as error:
        if optional:
            return Layer("default")
        reason = f"cannot be read: {error.strerror}"
    except OSError as error:
        reason = f"cannot be read: {error.strerror}"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        reason = f"is not UTF-8 text (at line {line})"
    except ValueError as error:  # TOMLDecodeError, and int()'s own for a number of thousands of digits
        reason = f"is not valid TOML: {error}"
    return Layer(str(chosen), faults=[f"{chosen}: {reason}"])


def variable(table: str, key: str) -> str:
    """Our environment variable for a setting."""
    return f"AMBIENTD_{table.upper()}__{key.upper()}"


def _parsed(setting: FieldInfo, text: str) -> object:
    """A variable's text as the setting's type, or unchanged where it cannot be: the check will complain."""
    # First with the setting's own rules, which tidy the value ("info" to "INFO"), then without, so that a
    # number out of range is still reported as a number.
    for marks in (setting.metadata, []):
        kind: Any = setting.annotation
        for mark in marks:
            kind = Annotated[kind, mark]
        try:
            return TypeAdapter(kind).validate_strings(text)
        except ValidationError:
            continue
    return text


def from_environment(model: type[Settings], environ: Mapping[str, str]) -> Layer:
    """Our variables and the seed's.  Two names of one setting may both be set only if they agree."""
    settings = fields(model)
    known = {variable(table, key): (table, key) for table, key in settings} | SEED_NAMES
    layer = Layer("environment")
    for name, text in sorted(environ.items()):
        if name == FILE_VARIABLE:
            continue
        if name not in known:
            # Whatever the case: a lower-case name of ours has no effect and was surely meant to.
            if name.upper().startswith(PREFIXES):
                # Names of ours are alike by their prefix alone, hence the high mark.
                hint = meant(name.upper(), [*known, FILE_VARIABLE], likeness=0.8)
                layer.faults.append(f"{name}: unknown variable{hint} (environment)")
            continue
        table, key = known[name]
        value = _parsed(settings[table, key], text)
        before = layer.origins.get(f"{table}.{key}")
        if before is None:
            layer.values.setdefault(table, {})[key] = value
            layer.origins[f"{table}.{key}"] = f"environment {name}"
        elif layer.values[table][key] != value:
            # No order between the two: whichever lost would look set and do nothing.
            other = before.removeprefix("environment ")
            layer.faults.append(f"{table}.{key}: {other} and {name} disagree; set one of them (environment)")
    return layer


def of_this_machine(stronger: list[Layer], environ: Mapping[str, str]) -> Layer:
    """The directories' defaults, which depend on the machine and on what the ``stronger`` layers say.

    Those must have been checked: their tables are tables and their paths are paths.
    """
    given = [layer.values.get("store", {}).get("directory") for layer in stronger]
    state = next((Path(directory) for directory in given if directory is not None), None)
    origin = "default"
    faults = []
    if state is None:
        state, origin = _state_directory(environ)
    if state is None:
        faults = ["store.directory: no home directory is known, so it must be set (default)"]
        state = STATE_OF_ROOT
    runtime = environ.get("RUNTIME_DIRECTORY", "").split(":")[0]
    values = {
        "store": {"directory": str(state)},
        "models": {"directory": str(state / "models")},
        "server": {"control_socket": str(Path(runtime or state) / "control.sock")},
    }
    origins = {"store.directory": origin}
    if runtime:
        origins["server.control_socket"] = "default, from $RUNTIME_DIRECTORY"
    return Layer("default", values, origins, faults)


def _state_directory(environ: Mapping[str, str]) -> tuple[Path | None, str]:
    # systemd lists several directories with colons between; ours has one.  Source: systemd.exec(5).
    if given := environ.get("STATE_DIRECTORY"):
        return Path(given.split(":")[0]), "default, from $STATE_DIRECTORY"
    if os.geteuid() == 0 and STATE_OF_ROOT.is_dir():
        return STATE_OF_ROOT, "default"
    # A relative value is to be ignored.  Source: XDG Base Directory Specification.
    if (given := environ.get("XDG_STATE_HOME", "")).startswith("/"):
        return Path(given) / "ambientd", "default, from $XDG_STATE_HOME"
    if (given := environ.get("HOME", "")).startswith("/"):
        return Path(given) / ".local/state/ambientd", "default, from $HOME"
    return None, "default"
