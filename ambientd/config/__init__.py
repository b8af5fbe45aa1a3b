"""The settings: defaults, overridden by one TOML file, overridden by the environment.

On an installed box the answers given at the installation stand between the defaults and the file.

    tables   what can be set            layers   where values come from
    kinds    what tables are made of    syncing  the tables of one concern, apart for their length
    faults   what is wrong, in words    rules    what does not go together
    pages    settings as text: ``--check-config``, the sample file, the documentation

A wrong setting stops the start, and all that is wrong is said at once; the reasons are in
``docs/decisions/0005-settings-refuse-to-start.md``.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import InitSettingsSource

from ambientd.config.faults import fields, sentence
from ambientd.config.layers import Layer, from_environment, from_file, from_installation, of_this_machine
from ambientd.config.rules import doubts, impossible
from ambientd.config.tables import (
    Admission,
    Audio,
    Engine,
    Log,
    Models,
    Retention,
    Segmentation,
    Server,
    Settings,
    Store,
)
from ambientd.errors import ConfigError

__all__ = [
    "Admission",
    "Audio",
    "Engine",
    "Log",
    "Models",
    "Retention",
    "Segmentation",
    "Server",
    "Settings",
    "Store",
    "doubts",
    "load",
    "load_as",
]

S = TypeVar("S", bound=Settings)


def load(path: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings in effect.

    ``path``: the file named on the command line; without it ``$AMBIENTD_CONFIG``, else the system's file.
    ``environ``: the environment, by default this process's.

    Raises:
        ConfigError: with every fault of every source.
    """
    return load_as(Settings, path, os.environ if environ is None else environ)


def load_as(model: type[S], path: Path | None, environ: Mapping[str, str]) -> S:
    """:func:`load` for a model that has more tables."""
    faults: list[str] = []
    faulty: set[str] = set()
    layers: list[Layer] = []  # the strongest first
    for layer in (
        from_environment(model, environ),
        from_file(path, environ),
        from_installation(path, environ),
    ):
        faults += layer.faults
        # Each layer is checked by itself: a wrong value in the file is told even while a variable hides it,
        # or it would wait for the day the variable is gone.
        found = _check(model, layer)
        faults += found.values()
        faulty |= found.keys()
        layers.append(_without(layer, set(found)))
    layers.append(of_this_machine(layers, environ))
    faults += layers[-1].faults
    settings = model(*(InitSettingsSource(model, layer.values) for layer in layers))
    for table, key in fields(model):
        owner = next((layer for layer in layers if key in layer.values.get(table, {})), None)
        if owner is not None:
            settings._origins[f"{table}.{key}"] = owner.origin(f"{table}.{key}")  # noqa: SLF001 - built here
    faults += impossible(settings, faulty)
    if faults:
        raise ConfigError(faults, hint='"ambientd --check-config" tells when they are right.')
    return settings


def _check(model: type[Settings], layer: Layer) -> dict[str, str]:
    """What is wrong with each setting of a layer: ``table.key``, or ``table``, -> the fault."""
    try:
        model(InitSettingsSource(model, layer.values))
    except ValidationError as error:
        told = [sentence(model, each) for each in error.errors() if each["type"] != "missing"]
        return {setting: f"{setting}: {reason} ({layer.origin(setting)})" for setting, reason in told}
    return {}


def _without(layer: Layer, faulty: set[str]) -> Layer:
    values = {
        table: {key: value for key, value in keys.items() if f"{table}.{key}" not in faulty}
        for table, keys in layer.values.items()
        if table not in faulty
    }
    return Layer(layer.source, values, layer.origins)
