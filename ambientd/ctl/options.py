"""Options that several commands have."""

from __future__ import annotations

import json
from typing import Any

import click

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")


def tell(document: Any) -> None:
    """Write a document for a program to read: one line of JSON."""
    click.echo(json.dumps(document))
