"""``ambientctl diag``: what somebody far away needs to find a fault, and nothing of a patient."""

from __future__ import annotations

import json
import os
import platform
import zipfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any, Final

import click

from ambientd import __version__
from ambientd.checkup import journal, machine, outside, stored
from ambientd.checkup.masked import settings_text
from ambientd.client import Refused
from ambientd.core.checks import worst
from ambientd.ctl import daemon, settings
from ambientd.ctl.backup import appearing
from ambientd.ctl.doctor import examine
from ambientd.ctl.options import as_json, tell
from ambientd.ctl.status import collected
from ambientd.errors import AmbientError, ConfigError
from ambientd.store import looking
from ambientd.store.owner import as_owner

README: Final = """\
A diagnosis of an ambientd box.  No word of a conversation, no name, no id of a session or an encounter and no secret is
in it: settings that hold free text are withheld, and the journal's lines are put together from what is allowed.
missing.json says what could not be found out, and why.
"""

_FLAGS: Final = frozenset(
    {"avx", "avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "f16c", "fma", "sse4_2"}
)
"""Of the processor's many flags those that the engine can use."""


_MICROPHONE: Final = ("state", "reason", "device", "level", "restarts", "lost_seconds", "armed")
"""Of the microphone's fields those that name no session."""


@click.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path), required=False)
@as_json
@daemon.at_url
def diag(file: Path | None, url: str, *, as_json: bool) -> None:
    """Write a zip without patient data for whoever is to find a fault; works with the daemon down.

    In it: versions, settings with secrets and free text withheld, status, checks, metrics, the allow-listed lines of
    the journal, systemd's state, kernel, processor, sound cards, and how many rows each table has.
    FILE is by default ambientd-diag-TIME.zip here.
    """
    file = file or Path(f"ambientd-diag-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.zip")
    parts, missing = gathered(url)
    with appearing(file) as target, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("README.txt", README)
        for name, text in parts.items():
            archive.writestr(name, text)
        archive.writestr("missing.json", _json(missing))
    if as_json:
        tell({"file": str(file), "parts": sorted(parts), "missing": missing})
        return
    click.echo(f"{file} ({file.stat().st_size / 1000:.0f} kB): {', '.join(sorted(parts))}.")
    for name, why in missing.items():
        click.echo(f"not in it: {name}: {why}", err=True)


def gathered(url: str) -> tuple[dict[str, str], dict[str, str]]:
    """The files of the archive, and what is missing and why."""
    parts: dict[str, str] = {}
    missing: dict[str, str] = {}

    def add(name: str, make: Callable[[], str]) -> None:
        try:
            parts[name] = make()
        except AmbientError as error:
            # Not its message: it may quote what somebody has typed.
            missing[name] = f"{type(error).__name__}: see checks.json"
        except OSError as error:
            missing[name] = f"{type(error).__name__} {error.errno}"

    add("versions.json", lambda: _json(_versions()))
    add("machine.json", lambda: _json(_machine()))
    add("settings.toml", lambda: settings_text(settings()))
    add("status.json", lambda: _json(_impersonal(collected(url))))
    add("checks.json", lambda: _json(_checks(url)))
    add("metrics.txt", lambda: _metrics(url))
    add("systemd.json", lambda: _json(outside.unit_state()))
    add("journal.txt", lambda: "\n".join(journal.lines()) + "\n")
    add("tables.json", lambda: _json(_tables()))
    return parts, missing


def _versions() -> dict[str, Any]:
    return {
        "ambientd": __version__,
        "python": platform.python_version(),
        "packages": {
            found.metadata["Name"]: found.version
            for found in sorted(metadata.distributions(), key=lambda each: each.metadata["Name"].lower())
        },
    }


def _machine() -> dict[str, Any]:
    """Kernel, distribution, processor, memory, sound cards; not the machine's name, which may be a room's."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    fields = {line.partition(":")[0].strip(): line.partition(":")[2].strip() for line in info}
    memory = Path("/proc/meminfo").read_text().splitlines()[:3]
    system: dict[str, str] = {}
    with suppress(OSError):
        system = platform.freedesktop_os_release()
    return {
        "kernel": f"{platform.system()} {platform.release()}",
        "distribution": system.get("PRETTY_NAME", ""),
        "processor": fields.get("model name", platform.machine()),
        "flags": sorted(_FLAGS & set(fields.get("flags", "").split())),
        "cores": os.cpu_count(),
        "memory": [" ".join(line.split()) for line in memory],
        "sound_cards": machine.cards(),
    }


def _impersonal(told: dict[str, Any]) -> dict[str, Any]:
    """The daemon's account without the sessions at the microphone, and without the checks, which have a file."""
    told.pop("checks")
    if told.get("microphone"):
        told["microphone"] = {name: told["microphone"].get(name) for name in _MICROPHONE}
    return told


def _checks(url: str) -> dict[str, Any]:
    """The findings; of faulty settings only which they are, since a fault quotes the value."""
    found = examine(url)
    listed = [asdict(each) for each in found]
    try:
        settings()
    except ConfigError as error:
        for each in listed:
            if each["id"] == "settings.valid":
                each["reason"] = f"{len(error.faults)} settings are faulty."
    return {"status": worst(found), "checks": listed}


def _metrics(url: str) -> str:
    blocks: list[bytes] = []
    try:
        daemon.copy(url, "/metrics", blocks.append)
    except Refused as error:
        raise OSError(error.code, "refused") from error
    return b"".join(blocks).decode()


def _tables() -> dict[str, Any]:
    directory = settings().store.directory
    with as_owner(directory):
        found = looking.contents(directory / stored.DATABASE)
    return {"revision": found.revision, "rows": found.counts, "deliveries": found.deliveries}


def _json(document: object) -> str:
    return json.dumps(document, indent=1, default=str) + "\n"
