"""There is always a certificate: the best there is, in time, and broken ones only said to be broken."""

from __future__ import annotations

import asyncio
import ipaddress
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from ambientd.errors import DoesNotOpen, OperatorError, StoreUnavailable
from ambientd.security.authority import Names, issue, make_authority
from ambientd.security.certificates import Certificates, open_certificates
from ambientd.security.pairs import CertificateUnusable, check_pair

NOW = datetime(2027, 3, 1, 12, tzinfo=UTC)


class Safe:
    """What the store is to the certificates."""

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.refusal: OperatorError | None = None

    async def get(self, name: str) -> bytes | None:
        if self.refusal is not None:
            raise self.refusal
        return self.kept.get(name)

    async def keep(self, name: str, content: bytes) -> None:
        self.kept[name] = content


class Machine:
    """A box whose name, addresses and clock a test sets."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.safe = Safe()
        self.now = NOW
        self.names = Names(("box", "box.local"), (ipaddress.ip_address("192.168.7.9"),))

    def certificates(self, **options) -> Certificates:
        return Certificates(
            self.folder / "tls", self.safe, lambda: self.names, now=lambda: self.now, **options
        )


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def elsewhere(
    folder: Path, *, until: timedelta = timedelta(days=90), name: str = "clinic"
) -> tuple[Path, Path]:
    """A certificate from another authority, and its key."""
    made = make_authority(Names(("box.clinic.example",), ()), NOW)
    leaf = issue(made, Names(("box.clinic.example",), ()), NOW - timedelta(days=397) + until)
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    at = leaf.chain.index(b"-----BEGIN PRIVATE")
    certificate.write_bytes(leaf.chain[:at] + made.certificate.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(leaf.chain[at:])
    return certificate, key


class TestOwn:
    async def test_the_first_start_makes_one_whose_keys_nobody_else_reads(self, machine):
        certificates = machine.certificates()
        await certificates.look()
        assert certificates.context is not None
        assert certificates.standing.source == "own"
        assert set(certificates.standing.certificate.names) == {"box", "box.local", "192.168.7.9"}
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (machine.folder / "tls").iterdir()}
        assert modes == {"own.pem": 0o600, "authority.pem": 0o644}
        assert stat.S_IMODE((machine.folder / "tls").stat().st_mode) == 0o700

    async def test_the_authoritys_key_is_in_no_file(self, machine):
        await machine.certificates().look()
        files = b"".join(path.read_bytes() for path in (machine.folder / "tls").iterdir())
        kept = machine.safe.kept["authority"]
        assert kept[kept.index(b"-----BEGIN PRIVATE") :] not in files

    async def test_the_next_start_shows_the_same(self, machine):
        first, second = machine.certificates(), machine.certificates()
        await first.look()
        await second.look()
        assert first.standing == second.standing

    async def test_a_new_address_makes_a_new_certificate_of_the_same_authority(self, machine):
        certificates = machine.certificates()
        await certificates.look()
        before = certificates.standing
        machine.names = Names(machine.names.names, (ipaddress.ip_address("10.1.2.3"),))
        await certificates.look()
        assert "10.1.2.3" in certificates.standing.certificate.names
        assert certificates.standing.authority == before.authority

    async def test_an_address_that_goes_changes_nothing(self, machine):
        certificates = machine.certificates()
        await certificates.look()
        before = certificates.standing
        machine.names = Names(machine.names.names, ())
        await certificates.look()
        assert certificates.standing == before

    async def test_it_is_made_anew_well_before_its_end(self, machine):
        certificates = machine.certificates()
        await certificates.look()
        before = certificates.standing.certificate
        machine.now = before.ends - timedelta(days=100)
        await certificates.look()
        assert certificates.standing.certificate.ends > before.ends

    async def test_a_clock_set_right_makes_it_anew(self, machine):
        machine.now = datetime(2031, 1, 1, tzinfo=UTC)
        certificates = machine.certificates()
        await certificates.look()
        machine.now = NOW
        await certificates.look()
        used = certificates.standing.certificate
        assert used.begins < NOW < used.ends

    async def test_a_clock_never_set_is_no_reason_not_to_start(self, machine):
        machine.now = datetime(1970, 1, 1, tzinfo=UTC)
        certificates = machine.certificates()
        await certificates.look()
        assert certificates.context is not None

    async def test_a_file_that_was_damaged_is_replaced(self, machine):
        certificates = machine.certificates()
        await certificates.look()
        (machine.folder / "tls" / "own.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nnonsense")
        await certificates.look()
        assert certificates.fault is None
        assert b"PRIVATE KEY" in (machine.folder / "tls" / "own.pem").read_bytes()

    async def test_an_authority_that_does_not_open_is_replaced(self, machine):
        await machine.certificates().look()
        machine.safe.refusal = DoesNotOpen("it was altered")
        certificates = machine.certificates()
        await certificates.look()
        assert certificates.context is not None
        assert certificates.fault is None

    async def test_one_that_cannot_be_read_just_now_is_waited_for(self, machine):
        before = machine.certificates()
        await before.look()
        kept = dict(machine.safe.kept)
        machine.safe.refusal = StoreUnavailable("the disk does not answer")
        certificates = machine.certificates()
        await certificates.look()
        with pytest.raises(StoreUnavailable):
            await certificates.renew()
        assert "the disk does not answer" in certificates.fault
        assert machine.safe.kept == kept
        machine.safe.refusal = None
        await certificates.look()
        assert certificates.fault is None
        assert certificates.standing.authority == before.standing.authority

    async def test_only_a_person_replaces_the_authority(self, machine):
        certificates = machine.certificates()
        await certificates.look()
        before = certificates.standing
        await certificates.renew()
        renewed = certificates.standing
        await certificates.renew(authority=True)
        replaced = certificates.standing
        assert renewed.authority == before.authority != replaced.authority
        assert renewed.certificate != before.certificate

    async def test_a_folder_that_cannot_be_written_is_told_and_stops_nothing(self, machine):
        (machine.folder / "tls").write_text("in the way")
        async with open_certificates(machine.certificates()) as certificates:
            assert certificates.context is None
            assert "cannot be written" in certificates.fault


class TestElsewhere:
    async def test_one_from_the_settings_goes_before_all(self, machine):
        certificates = machine.certificates(configured=elsewhere(machine.folder))
        await certificates.look()
        assert certificates.standing.source == "configured"
        assert certificates.standing.certificate.names == ("box.clinic.example",)

    async def test_its_renewal_is_taken_up_while_the_box_runs(self, machine):
        slot = elsewhere(machine.folder)
        async with open_certificates(machine.certificates(configured=slot), every=0.02) as certificates:
            before = certificates.standing.certificate.sha256
            elsewhere(machine.folder, until=timedelta(days=200))
            async with asyncio.timeout(5):
                while certificates.standing.certificate.sha256 == before:
                    await asyncio.sleep(0.01)
        assert certificates.standing.source == "configured"

    async def test_once_it_has_ended_the_boxs_own_is_shown_and_the_reason_told(self, machine):
        certificates = machine.certificates(configured=elsewhere(machine.folder))
        await certificates.look()
        machine.now = NOW + timedelta(days=91)
        await certificates.look()
        assert certificates.standing.source == "own"
        assert "ended on" in certificates.standing.faults[0]

    @pytest.mark.parametrize("broken", ["missing", "empty", "another key", "locked key", "no certificate"])
    async def test_a_broken_one_never_stops_the_start(self, machine, broken):
        certificate, key = elsewhere(machine.folder)
        match broken:
            case "missing":
                certificate.unlink()
            case "empty":
                certificate.write_bytes(b"")
            case "another key":
                key.write_bytes(elsewhere(machine.folder, name="other")[1].read_bytes())
            case "locked key":
                private = ec.generate_private_key(ec.SECP256R1())
                lock = serialization.BestAvailableEncryption(b"secret")
                form = serialization.PrivateFormat.PKCS8
                key.write_bytes(private.private_bytes(serialization.Encoding.PEM, form, lock))
            case "no certificate":
                certificate.write_bytes(key.read_bytes())
        certificates = machine.certificates(configured=(certificate, key))
        await certificates.look()
        assert certificates.context is not None
        assert certificates.standing.source == "own"
        assert len(certificates.standing.faults) == 1

    async def test_a_broken_file_put_right_is_taken_up(self, machine):
        certificate, key = elsewhere(machine.folder)
        good = certificate.read_bytes()
        certificate.write_bytes(b"")
        certificates = machine.certificates(configured=(certificate, key))
        await certificates.look()
        certificate.write_bytes(good)
        await certificates.look()
        assert certificates.standing.source == "configured"
        assert certificates.standing.faults == ()


class TestPairs:
    def pair(self, tmp_path: Path) -> tuple[bytes, bytes]:
        certificate, key = elsewhere(tmp_path)
        return certificate.read_bytes(), key.read_bytes()

    def test_a_good_one_is_taken_with_its_chain(self, tmp_path):
        assert len(check_pair(*self.pair(tmp_path), NOW).chain) == 1

    def test_a_chain_in_the_wrong_order_is_told(self, tmp_path):
        certificate, key = self.pair(tmp_path)
        first, second = x509.load_pem_x509_certificates(certificate)
        turned = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (second, first))
        with pytest.raises(CertificateUnusable, match="does not belong"):
            check_pair(turned, key, NOW)

    def test_a_chain_with_a_stranger_in_it_is_told(self, tmp_path):
        certificate, key = self.pair(tmp_path)
        stranger = make_authority(Names(("x",), ()), NOW).certificate
        first = x509.load_pem_x509_certificate(certificate)
        mixed = b"".join(each.public_bytes(serialization.Encoding.PEM) for each in (first, stranger))
        with pytest.raises(CertificateUnusable, match="chain is broken"):
            check_pair(mixed, key, NOW)

    def test_a_certificate_of_tomorrow_is_told(self, tmp_path):
        with pytest.raises(CertificateUnusable, match="begins on"):
            check_pair(*self.pair(tmp_path), NOW - timedelta(days=2_000))

    def test_a_short_key_is_told(self):
        weak = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - what is to be refused
        form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        with pytest.raises(CertificateUnusable, match="1024 bits"):
            check_pair(
                make_authority(Names(("x",), ()), NOW).pem.split(b"-----BEGIN PRIV")[0],
                weak.private_bytes(*form),
                NOW,
            )

    def test_no_message_quotes_a_key(self, tmp_path):
        certificate, key = self.pair(tmp_path)
        for wrong in ((key, key), (certificate, certificate), (certificate, key[:60])):
            with pytest.raises(OperatorError) as told:
                check_pair(*wrong, NOW)
            assert key.splitlines()[1].decode() not in str(told.value)
