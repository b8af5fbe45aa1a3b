"""``ambientctl certificate`` and ``limits``, with the daemon up and down."""

from __future__ import annotations

import asyncio
import json
import stat
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from guests import Guest
from served import Box

from ambientd.config.lan import Lan
from ambientd.ctl import main
from ambientd.security.authority import Names, issue, make_authority

LAN = Lan(port=0, host="127.0.0.1", announce=False)


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AMBIENTD_STORE__DIRECTORY", str(tmp_path))


@pytest.fixture
async def box(open_box) -> Box:
    return await open_box(lan=LAN)


async def run(*arguments: str, **options) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, main, arguments, **options)


def root_of(chain: str) -> str:
    """The authority in a file of certificate and chain."""
    last = x509.load_pem_x509_certificates(Path(chain).read_bytes())[-1]
    return last.public_bytes(serialization.Encoding.PEM).decode()


def elsewhere(folder: Path, *, broken: bool = False) -> tuple[str, str]:
    """The files of a certificate from another authority."""
    now = datetime.now(UTC)
    names = Names(("localhost", "box.clinic.example"), ())
    authority = make_authority(names, now)
    leaf = issue(authority, names, now)
    at = leaf.chain.index(b"-----BEGIN PRIVATE")
    certificate, key = folder / "theirs.pem", folder / "theirs.key"
    chain = authority.certificate.public_bytes(serialization.Encoding.PEM)
    certificate.write_bytes(leaf.chain[:at] + chain)
    key.write_bytes(leaf.chain[at : at + 60] if broken else leaf.chain[at:])
    return str(certificate), str(key)


async def test_show_prints_the_fingerprints_with_the_daemon_up_and_down(box, tmp_path):
    standing = box.network.standing
    for options in (("--url", box.url), ("--url", "http://127.0.0.1:1")):
        done = await run("certificate", "show", *options)
        assert done.exit_code == 0, done.output
        assert standing.authority.sha256 in done.output
        assert standing.certificate.sha256 in done.output
    done = await run("certificate", "show", "--json", "--url", box.url)
    assert json.loads(done.stdout)["addresses"]


async def test_without_any_it_says_what_to_do(tmp_path):
    done = await run("certificate", "show", "--url", "http://127.0.0.1:1")
    assert done.exit_code == 1
    assert "Start the daemon once" in done.output


async def test_renew_makes_another_of_the_same_authority(box):
    before = box.network.standing
    done = await run("certificate", "renew", "--url", box.url)
    assert done.exit_code == 0, done.output
    assert box.network.standing.certificate != before.certificate
    assert box.network.standing.authority == before.authority


async def test_a_new_authority_is_asked_about_first(box):
    before = box.network.standing.authority
    done = await run("certificate", "renew", "--authority", "--url", box.url, input="n\n")
    assert done.exit_code == 1
    assert box.network.standing.authority == before
    done = await run("certificate", "renew", "--authority", "--yes", "--url", box.url)
    assert box.network.standing.authority.sha256 in done.output
    assert box.network.standing.authority != before


async def test_one_made_elsewhere_is_imported_shown_to_guests_and_forgotten(box, tmp_path):
    certificate, key = elsewhere(tmp_path)
    done = await run("certificate", "import", certificate, key)
    assert done.exit_code == 0, done.output
    assert "box.clinic.example" in done.output
    kept = tmp_path / "tls" / "imported.pem"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    await box.network.certificates.look()
    assert box.network.standing.source == "imported"
    guest = Guest(box)
    guest.trust.load_verify_locations(cadata=root_of(certificate))
    assert (await guest.get("/healthz"))[0] == 200

    done = await run("certificate", "forget")
    assert done.exit_code == 0
    await box.network.certificates.look()
    assert box.network.standing.source == "own"
    assert (await run("certificate", "forget")).exit_code == 1


async def test_what_cannot_be_used_is_refused_before_anything_is_changed(box, tmp_path):
    certificate, key = elsewhere(tmp_path, broken=True)
    done = await run("certificate", "import", certificate, key)
    assert done.exit_code == 1
    assert "no key as PEM" in done.output
    assert not (tmp_path / "tls" / "imported.pem").exists()


async def test_the_authority_is_exported(box, tmp_path):
    out = tmp_path / "ca.pem"
    assert (await run("certificate", "authority", "--output", str(out))).exit_code == 0
    exported = x509.load_pem_x509_certificate(out.read_bytes())
    assert exported.public_bytes(serialization.Encoding.DER) == box.network.authority_der
    assert (await run("certificate", "authority")).output.startswith("-----BEGIN CERTIFICATE-----")


async def test_who_is_shut_out_is_listed_and_let_in(box):
    box.network.limits.ban("192.168.1.20", "log-ins")
    done = await run("limits", "list", "--url", box.url)
    assert "192.168.1.20" in done.output
    assert "log-ins" in done.output
    done = await run("limits", "free", "192.168.1.20", "--url", box.url)
    assert done.exit_code == 0
    assert box.network.limits.banned("192.168.1.20") is None
    done = await run("limits", "list", "--url", box.url)
    assert "Nobody is shut out" in done.output
    assert (await run("limits", "free", "192.168.1.20", "--url", box.url)).exit_code == 1
