"""The box's own certificate authority, and the certificates it signs for the box.

    Rule 1  The authority signs for this box and its network alone.  Whoever installs it on a tablet must not thereby
            trust a stolen key for a bank's site: it is constrained to names and addresses that exist only inside.
    Rule 2  A name the authority may not sign for is left out of the certificate and told: one such name would make
            clients refuse the whole of it.
    Rule 3  The authority begins when boxes began, not now: a box without a battery may make it in 1970 or in 2099.

EC P-256 throughout: every client knows it, and a key is made in less than a millisecond.
Clients enforce constraints in an installed root: Chromium since version 112, Apple's systems and Windows for longer;
none of those in use refuses the extension, which is critical as RFC 5280 section 4.2.1.10 wants it.
Source: Chromium's policy EnforceLocalAnchorConstraintsEnabled.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address

BORN: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""No box is older, so no certificate of one need be."""

AUTHORITY_LIFE: Final = timedelta(days=3_653)

LEAF_LIFE: Final = timedelta(days=397)
"""From its beginning to its end.  Browsers refuse more than 398 days of a public authority, more than 825 of an
installed one.  Source: https://support.apple.com/en-us/102028 and 103769."""

EARLY: Final = timedelta(days=1)
"""A certificate begins so long before it is made: a tablet's clock may be behind the box's."""

INSIDE: Final = ("local", "localhost", "lan", "internal", "home.arpa")
"""Domains that no public authority signs for.  Source: RFC 6761, 6762, 8375, and ICANN's resolution on .internal."""

PRIVATE: Final = tuple(
    ipaddress.ip_network(net)
    for net in (
        *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
        *("fc00::/7", "fe80::/10", "::1/128"),
    )
)
"""Addresses that exist only inside.  Source: RFC 6890."""


@dataclass(frozen=True, slots=True)
class Names:
    """What a machine is called: DNS names in lower case, and addresses."""

    names: tuple[str, ...]
    addresses: tuple[Address, ...]

    def __bool__(self) -> bool:
        return bool(self.names or self.addresses)

    def __le__(self, other: Names) -> bool:
        """Whether the other has all of these."""
        return set(self.names) <= set(other.names) and set(self.addresses) <= set(other.addresses)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate authority with its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Certificate and key, which is what must be kept."""
        return self.certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(self.key)


@dataclass(frozen=True, slots=True)
class Leaf:
    """A certificate for the box, as a server loads it."""

    chain: bytes
    """PEM: certificate, then key."""
    certificate: x509.Certificate
    left_out: Names
    """What the authority may not sign for."""


def make_authority(names: Names, now: datetime) -> Authority:
    """An authority for a machine of these names, by a clock that shows ``now``."""
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    identifier = x509.SubjectKeyIdentifier.from_public_key(public)
    host = names.names[0] if names.names else "box"
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "ambientd"),
            # Two boxes of one name, or a box made anew, must be told apart in a tablet's list.
            x509.NameAttribute(NameOID.COMMON_NAME, f"ambientd {host[:40]} {identifier.digest.hex()[:8]}"),
        ]
    )
    permitted: list[x509.GeneralName] = [
        x509.DNSName(name) for name in (*INSIDE, *(n for n in names.names if not _within(n, INSIDE)))
    ]
    permitted += [x509.IPAddress(net) for net in (*PRIVATE, *_own(names.addresses))]
    begin = BORN
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(max(now, begin) + AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.NameConstraints(permitted_subtrees=permitted, excluded_subtrees=None), critical=True
        )
        .sign(key, hashes.SHA256())
    )
    return Authority(certificate, key)


def read_authority(pem: bytes) -> Authority:
    """The authority that ``Authority.pem`` wrote.

    Raises:
        ValueError: it is something else.
    """
    key = serialization.load_pem_private_key(pem, password=None)
    certificate = x509.load_pem_x509_certificate(pem)
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise ValueError("the key is not the certificate's")
    return Authority(certificate, key)


def issue(authority: Authority, names: Names, now: datetime) -> Leaf:
    """A certificate for a machine of these names, with a key of its own, as far as the authority may sign.

    Raises:
        ValueError: the authority is not valid at ``now``, or may sign for none of the names.
    """
    now = max(now, BORN)  # before the clock is set a certificate is made that will be replaced once it is
    begin = max(now - EARLY, authority.certificate.not_valid_before_utc)
    end = min(begin + LEAF_LIFE, authority.certificate.not_valid_after_utc)
    if not begin <= now < end:
        raise ValueError("the authority is not valid at this time")
    wanted = covered(authority.certificate, names)
    if not wanted:
        raise ValueError("the authority may sign for none of the names")
    key = ec.generate_private_key(ec.SECP256R1())
    called: list[x509.GeneralName] = [x509.DNSName(name) for name in wanted.names]
    called += [x509.IPAddress(address) for address in wanted.addresses]
    shown = wanted.names[0] if wanted.names else str(wanted.addresses[0])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, shown[:64])]))
        .issuer_name(authority.certificate.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.key.public_key()), critical=False
        )
        .add_extension(x509.SubjectAlternativeName(called), critical=False)
        .sign(authority.key, hashes.SHA256())
    )
    left_out = Names(
        tuple(n for n in names.names if n not in wanted.names),
        tuple(a for a in names.addresses if a not in wanted.addresses),
    )
    chain = certificate.public_bytes(serialization.Encoding.PEM) + _key_pem(key)
    return Leaf(chain, certificate, left_out)


def covered(authority: x509.Certificate, names: Names) -> Names:
    """Those of the names that the authority may sign for."""
    try:
        limits = authority.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return names
    permitted = limits.permitted_subtrees or []
    domains = [each.value for each in permitted if isinstance(each, x509.DNSName)]
    nets = [each.value for each in permitted if isinstance(each, x509.IPAddress)]
    return Names(
        tuple(name for name in names.names if _within(name, domains)),
        tuple(a for a in names.addresses if any(isinstance(net, Network) and a in net for net in nets)),
    )


def names_of(certificate: x509.Certificate) -> Names:
    """What a certificate is for."""
    try:
        called = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return Names((), ())
    addresses = called.get_values_for_type(x509.IPAddress)
    return Names(
        tuple(name.lower() for name in called.get_values_for_type(x509.DNSName)),
        tuple(a for a in addresses if isinstance(a, Address)),
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """SHA-256 in pairs of hexadecimal digits, as browsers show it."""
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def _within(name: str, domains: Iterable[str]) -> bool:
    return any(name == domain or name.endswith("." + domain) for domain in domains)


def _own(addresses: Iterable[Address]) -> list[Network]:
    """The networks of addresses that are not private: some clinics have public ones on the inside."""
    nets = {
        ipaddress.ip_network(f"{a}/{24 if a.version == 4 else 64}", strict=False)  # noqa: PLR2004 - IP versions
        for a in addresses
        if not any(a in net for net in PRIVATE)
    }
    return sorted(nets, key=str)


def _usage(*, signs: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs,
        key_cert_sign=signs,
        crl_sign=signs,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
