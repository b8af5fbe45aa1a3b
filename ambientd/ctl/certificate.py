"""``ambientctl certificate``: how the box proves to tablets that it is the box."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from ambientd.client import DaemonUnreachable
from ambientd.core.network import Certificate
from ambientd.ctl import daemon, settings
from ambientd.errors import OperatorError
from ambientd.lan import FOLDER
from ambientd.security.authority import names_of
from ambientd.security.certificates import AUTHORITY, IMPORTED, OWN, certificate_in, write_private
from ambientd.security.pairs import Pair, read_pair
from ambientd.store.owner import as_owner

_SOURCES: Final = {
    "own": "made by this box",
    "imported": "imported",
    "configured": "named in the settings",
}

as_json = click.option("--json", "as_json", is_flag=True, help="Write JSON for a program to read.")


@click.group()
def certificate() -> None:
    """Look at the certificates, renew them, use one made elsewhere."""


@certificate.command()
@as_json
@daemon.at_url
def show(url: str, *, as_json: bool) -> None:
    """Show the certificates and their fingerprints, to be compared on a tablet."""
    try:
        told = daemon.ask(url, "GET", "/api/v1/certificate")
    except DaemonUnreachable:
        told = _from_files()
    if as_json:
        click.echo(json.dumps(told))
        return
    used, authority = told["certificate"], told["authority"]
    click.echo(f"in use        {used['subject']}, {_SOURCES[told['source']]}")
    click.echo(f"  for         {', '.join(used['names'])}")
    click.echo(f"  until       {used['ends'][:10]}")
    click.echo(f"  SHA-256     {used['sha256']}")
    click.echo(
        f"authority     {authority['subject']}, until {authority['ends'][:10]}: tablets install this one"
    )
    click.echo(f"  SHA-256     {authority['sha256']}")
    for address in told["addresses"]:
        click.echo(f"reached at    {address}   to be trusted: {address}/ca")
    for name in told["left_out"]:
        click.echo(f"not covered   {name}: ambientctl certificate renew --authority", err=True)
    for fault in told["faults"]:
        click.echo(f"note: {fault}", err=True)


@certificate.command()
@click.option(
    "--authority", is_flag=True, help="A new authority as well: every tablet must install it again."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@daemon.at_url
def renew(url: str, *, authority: bool, yes: bool) -> None:
    """Make the box's own certificate anew, now; connections that are open stay so."""
    if authority and not yes:
        click.confirm(
            "Every tablet and program will refuse the box until it has the new authority.  Go on?", abort=True
        )
    told = daemon.ask(url, "POST", "/api/v1/certificate/renew", body={"authority": authority})
    click.echo(f"The box's own certificate is good until {told['certificate']['ends'][:10]}.")
    if told["source"] != "own":
        click.echo(f"In use is one {_SOURCES[told['source']]}.", err=True)
    if authority:
        click.echo(f"The new authority has the fingerprint {told['authority']['sha256']}.")


@certificate.command("import")
@click.argument("certificate_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("key_file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_(certificate_file: Path, key_file: Path) -> None:
    """Use a certificate made elsewhere: PEM files of it, with its chain, and of its key.

    Both are checked before anything is changed, and kept in the store's directory.
    """
    pair = read_pair(certificate_file, key_file, datetime.now(UTC))
    folder = _folder()
    with as_owner(folder.parent):
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            write_private(folder / IMPORTED, pair.pem)
        except OSError as error:
            raise OperatorError(f"{folder / IMPORTED} cannot be written: {error.strerror}.") from error
    click.echo(f"Imported: {pair.certificate.subject.rfc4514_string()}, until {_day(pair)}.")
    click.echo("A running daemon takes it up within half a minute; connections that are open stay so.")
    if settings().lan.certificate:
        click.echo("note: lan.certificate is set, and goes before it.", err=True)
    if not pair.chain:
        click.echo("note: no chain is in the file; tablets must know its authority themselves.", err=True)
    names = names_of(pair.certificate)
    click.echo(f"Browsers take it for {', '.join([*names.names, *map(str, names.addresses)])} only.")


@certificate.command()
def forget() -> None:
    """Go back to the box's own certificate: the imported one is deleted, with its key."""
    folder = _folder()
    with as_owner(folder.parent):
        try:
            (folder / IMPORTED).unlink()
        except FileNotFoundError as error:
            raise OperatorError(
                "no certificate was imported", hint="ambientctl certificate show tells."
            ) from error
    click.echo("The imported certificate is deleted; a running daemon shows its own within half a minute.")


@certificate.command()
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="A file; else it is printed."
)
def authority(output: Path | None) -> None:
    """Print the box's authority as PEM, for programs and for a tablet management."""
    try:
        pem = (_folder() / AUTHORITY).read_text()
    except FileNotFoundError as error:
        raise _none_yet() from error
    if output is None:
        click.echo(pem, nl=False)
        return
    try:
        output.write_text(pem)
    except OSError as error:
        raise click.FileError(str(output), hint=error.strerror) from error


def _from_files() -> dict[str, Any]:
    """The same as the daemon tells, while none runs: from the files it would show."""
    folder = _folder()
    try:
        root = certificate_in(folder / AUTHORITY)
        source, used = _first_of(folder)
    except FileNotFoundError as error:
        raise _none_yet() from error
    except (OSError, ValueError) as error:
        raise OperatorError(f"what is in {folder} cannot be read.", hint="Be root, or its owner.") from error
    return {
        "source": source,
        "certificate": _fields(used),
        "authority": _fields(root),
        "faults": ["The daemon does not run: whether it would use this one is not known."],
        "left_out": [],
        "addresses": [],
    }


def _first_of(folder: Path) -> tuple[str, Certificate]:
    """The first slot with a certificate in it, in the daemon's order."""
    lan = settings().lan
    slots = {"configured": Path(lan.certificate)} if lan.certificate else {}
    for source, path in (slots | {"imported": folder / IMPORTED}).items():
        with suppress(FileNotFoundError, ValueError):
            return source, certificate_in(path)
    return "own", certificate_in(folder / OWN)


def _fields(of: Certificate) -> dict[str, Any]:
    return {
        "subject": of.subject,
        "issuer": of.issuer,
        "names": list(of.names),
        "begins": of.begins.isoformat(),
        "ends": of.ends.isoformat(),
        "sha256": of.sha256,
    }


def _folder() -> Path:
    return settings().store.directory / FOLDER


def _day(pair: Pair) -> str:
    return f"{pair.certificate.not_valid_after_utc:%Y-%m-%d}"


def _none_yet() -> OperatorError:
    return OperatorError(
        "there is no certificate yet", hint="Start the daemon once with lan.enabled: it makes one."
    )
