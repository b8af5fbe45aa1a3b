"""The box's own authority signs for the box and its network, and for nothing else, whatever the clock shows."""

from __future__ import annotations

import ipaddress
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ambientd.security.authority import (
    BORN,
    Names,
    covered,
    issue,
    make_authority,
    names_of,
    read_authority,
)

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)
HERE = Names(
    ("box", "box.local", "box.clinic.example", "localhost"),
    (ipaddress.ip_address("192.168.7.9"), ipaddress.ip_address("fd00::9")),
)


def verdict(tmp_path: Path, authority: bytes, leaf: bytes, *options: str) -> str:
    """What OpenSSL says to a chain, strictly by RFC 5280."""
    (tmp_path / "ca.pem").write_bytes(authority)
    (tmp_path / "leaf.pem").write_bytes(leaf)
    done = subprocess.run(
        [
            *("openssl", "verify", "-x509_strict", "-attime", str(int(NOW.timestamp())), *options),
            *("-CAfile", str(tmp_path / "ca.pem"), str(tmp_path / "leaf.pem")),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("name", ["box", "box.local", "box.clinic.example"])
def test_the_certificate_is_good_for_each_name(tmp_path, name):
    authority = make_authority(HERE, NOW)
    leaf = issue(authority, HERE, NOW)
    assert "OK" in verdict(tmp_path, authority.pem, leaf.chain, "-verify_hostname", name)


@pytest.mark.parametrize("address", ["192.168.7.9", "fd00::9"])
def test_and_for_each_address(tmp_path, address):
    authority = make_authority(HERE, NOW)
    leaf = issue(authority, HERE, NOW)
    assert "OK" in verdict(tmp_path, authority.pem, leaf.chain, "-verify_ip", address)


def test_it_lives_no_longer_than_clients_take():
    leaf = issue(make_authority(HERE, NOW), HERE, NOW).certificate
    assert leaf.not_valid_after_utc - leaf.not_valid_before_utc <= timedelta(days=397)
    assert leaf.not_valid_before_utc < NOW < leaf.not_valid_after_utc


def test_the_authority_lives_ten_years():
    authority = make_authority(HERE, NOW).certificate
    assert timedelta(days=3_650) <= authority.not_valid_after_utc - NOW <= timedelta(days=3_655)


def forged(authority, name: str) -> bytes:
    """What a thief of the authority's key would sign."""
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + timedelta(days=9))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def test_a_stolen_key_of_the_authority_forges_no_site_outside(tmp_path):
    authority = make_authority(HERE, NOW)
    assert "permitted subtree violation" in verdict(
        tmp_path, authority.pem, forged(authority, "bank.example")
    )
    assert "OK" in verdict(tmp_path, authority.pem, forged(authority, "other.local"))


def test_what_the_authority_may_not_sign_is_left_out_and_told():
    authority = make_authority(HERE, NOW)
    renamed = Names(("cart", "cart.local"), (ipaddress.ip_address("203.0.113.5"),))
    leaf = issue(authority, renamed, NOW)
    assert names_of(leaf.certificate) == Names(("cart.local",), ())
    assert leaf.left_out == Names(("cart",), renamed.addresses)


def test_a_clinic_with_public_addresses_inside_is_served():
    public = Names(("box",), (ipaddress.ip_address("203.0.113.5"), ipaddress.ip_address("2001:db8:1::5")))
    assert covered(make_authority(public, NOW).certificate, public) == public


def test_a_box_without_a_battery_makes_what_holds_once_its_clock_is_set():
    authority = make_authority(HERE, datetime(1970, 1, 1, 0, 3, tzinfo=UTC))
    assert authority.certificate.not_valid_before_utc == BORN
    issue(authority, HERE, datetime(1970, 1, 1, 0, 4, tzinfo=UTC))
    assert issue(authority, HERE, NOW).certificate.not_valid_after_utc > NOW


def test_an_authority_made_by_a_clock_far_ahead_holds_as_well():
    authority = make_authority(HERE, datetime(2099, 1, 1, tzinfo=UTC))
    assert issue(authority, HERE, NOW).certificate.not_valid_before_utc < NOW


def test_the_authority_comes_back_as_it_was_kept():
    authority = make_authority(HERE, NOW)
    assert read_authority(authority.pem).certificate == authority.certificate
    other = make_authority(HERE, NOW)
    with pytest.raises(ValueError, match="not the certificate's"):
        read_authority(
            authority.pem.split(b"-----BEGIN PRIVATE")[0] + other.pem[other.pem.index(b"-----BEGIN P") :]
        )
