"""A certificate made elsewhere, and its key: whether they can be used, before anything is served with them."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ambientd.errors import OperatorError

LEAST_RSA: Final = 2_048
"""Bits; clients refuse shorter keys."""

LARGEST: Final = 1 << 20
"""Bytes of a file: a chain has a few thousand."""

SOON: Final = timedelta(days=21)
"""A certificate that ends within it is worth a warning."""

CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2, forward secrecy and authenticated encryption only; TLS 1.3 has no others."""


class CertificateUnusable(OperatorError):
    """A certificate, or its key, cannot be served with; the box's own is, so that the start goes on."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate with its chain and key, checked."""

    certificate: x509.Certificate
    chain: tuple[x509.Certificate, ...]
    """What was behind the certificate, nearest first."""
    pem: bytes
    """All of it and the key, in one."""


def read_pair(certificate: Path, key: Path, now: datetime) -> Pair:
    """What two files hold, if a server can use it at ``now``.

    Raises:
        CertificateUnusable: what is wrong with them.
    """
    return check_pair(_content(certificate), _content(key), now)


def check_pair(certificate: bytes, key: bytes, now: datetime) -> Pair:
    """The same of their content, PEM both.

    Raises:
        CertificateUnusable: what is wrong with it.
    """
    try:
        chain = x509.load_pem_x509_certificates(certificate)
    except ValueError as error:
        raise CertificateUnusable(
            "the file of the certificate holds no certificate as PEM",
            hint='It must begin with "-----BEGIN CERTIFICATE-----"; openssl x509 -inform der converts one in DER.',
        ) from error
    leaf = chain[0]
    try:
        private = serialization.load_pem_private_key(key, password=None)
    except TypeError as error:
        raise CertificateUnusable(
            "the key is locked with a passphrase, which nobody could type when the box starts",
            hint="Unlock it: openssl pkey -in KEY -out UNLOCKED",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise CertificateUnusable(
            "the file of the key holds no key as PEM",
            hint='It must begin with "-----BEGIN PRIVATE KEY-----" or the like.',
        ) from error
    if isinstance(private, rsa.RSAPrivateKey):
        if private.key_size < LEAST_RSA:
            raise CertificateUnusable(
                f"the key has {private.key_size} bits, and clients refuse RSA keys below {LEAST_RSA}"
            )
    elif not isinstance(private, ec.EllipticCurvePrivateKey):
        raise CertificateUnusable("the key is neither RSA nor EC, and no browser takes another kind")
    if private.public_key() != leaf.public_key():
        raise CertificateUnusable(
            "the key does not belong to the certificate",
            hint="The box's own certificate must come first in the file, its authority's behind it.",
        )
    _check_dates(leaf, now)
    _check_order(chain)
    if not _called(leaf):
        raise CertificateUnusable(
            "the certificate has no subject alternative name, and browsers look at nothing else"
        )
    whole = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in chain)
    whole += private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Pair(leaf, tuple(chain[1:]), whole)


def context_of(pem: Path) -> ssl.SSLContext:
    """What to serve with: TLS 1.2 and later, from a file of certificate, chain and key.

    Raises:
        CertificateUnusable: OpenSSL does not take it.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers(CIPHERS)
    # A client that starts handshakes over and over would cost the box much and itself little.
    context.options |= ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols(["http/1.1"])
    try:
        context.load_cert_chain(pem)
    except (OSError, ssl.SSLError) as error:
        raise CertificateUnusable(f"the certificate in {pem} cannot be loaded") from error
    return context


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise CertificateUnusable(
            f"{path} cannot be read: {error.strerror}",
            hint="The daemon's own user must be able to read it.",
        ) from error
    if len(content) > LARGEST:
        raise CertificateUnusable(f"{path} is too long for a certificate or a key")
    return content


def _check_dates(leaf: x509.Certificate, now: datetime) -> None:
    if now >= leaf.not_valid_after_utc:
        raise CertificateUnusable(
            f"the certificate ended on {leaf.not_valid_after_utc:%Y-%m-%d}",
            hint="Have it renewed, or set the clock if that is wrong.",
        )
    if now < leaf.not_valid_before_utc:
        raise CertificateUnusable(
            f"the certificate begins on {leaf.not_valid_before_utc:%Y-%m-%d}",
            hint="Set the clock, or wait until then.",
        )


def _check_order(chain: list[x509.Certificate]) -> None:
    """Whether each certificate is signed by the one behind it, as TLS wants it."""
    for below, above in pairwise(chain):
        try:
            below.verify_directly_issued_by(above)
        except (ValueError, TypeError, InvalidSignature) as error:
            raise CertificateUnusable(
                "the chain is broken: a certificate is not signed by the one behind it",
                hint="Put the box's certificate first, then that of the authority that signed it, and so on.",
            ) from error


def _called(leaf: x509.Certificate) -> bool:
    try:
        leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return False
    return True
