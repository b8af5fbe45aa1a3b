"""A certificate authority of the tests' own, and what it would never sign."""

from __future__ import annotations

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from central.faults import Fault

DAY = timedelta(days=1)


class Authority:
    """Its files are made in ``folder``: ``ca.pem``, and a chain with its key for each kind of certificate."""

    def __init__(self, folder: Path, name: str = "centre test CA") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        now = datetime.now(UTC)
        usage = x509.KeyUsage(
            digital_signature=True,
            key_cert_sign=True,
            crl_sign=True,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            encipher_only=False,
            decipher_only=False,
        )
        self._certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * DAY)
            .not_valid_after(now + 30 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        self.ca = folder / "ca.pem"
        self.ca.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))

    def leaf(self, file: str, *, names: tuple[str, ...], from_days: int = -1, to_days: int = 10) -> Path:
        """A certificate with its key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(UTC)
        alternatives = x509.SubjectAlternativeName([_general(name) for name in names])
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + from_days * DAY)
            .not_valid_after(now + to_days * DAY)
            .add_extension(alternatives, critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(
                x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]),
                critical=False,
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        path = self.folder / file
        path.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
            + certificate.public_bytes(serialization.Encoding.PEM)
        )
        return path


class Tls:
    """What a centre with TLS needs.  A change of certificate holds from the next handshake on.

    ``clients``: only those with a certificate of this authority may come in.
    """

    def __init__(self, folder: Path, *, clients: bool = False) -> None:
        authority = Authority(folder)
        stranger = Authority(folder / "stranger", "somebody else's CA")
        here = ("localhost", "127.0.0.1")
        self.ca = authority.ca
        self.client = authority.leaf("client.pem", names=("box-7",))
        self._good = authority.leaf("good.pem", names=here)
        self._bad = {
            Fault.EXPIRED_CERTIFICATE: authority.leaf("expired.pem", names=here, from_days=-20, to_days=-10),
            Fault.WRONG_NAME: authority.leaf("wrong.pem", names=("elsewhere.example",)),
            Fault.UNKNOWN_CA: stranger.leaf("stranger.pem", names=here),
        }
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        # A resumed session would hide the new certificate.
        self.context.options |= ssl.OP_NO_TICKET
        self.context.num_tickets = 0
        if clients:
            self.context.load_verify_locations(self.ca)
            self.context.verify_mode = ssl.CERT_REQUIRED
        self.show(None)

    def show(self, fault: Fault | None) -> None:
        self.context.load_cert_chain(self._good if fault is None else self._bad[fault])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
