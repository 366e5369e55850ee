"""What a client that checks everything makes of the certificates."""

import ipaddress
import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from edgerun.credentials.certificates import (
    ENTROPY,
    Pair,
    new_authority,
    new_server,
    new_workload,
    new_workload_authority,
    parsed,
    parsed_key,
    permitted,
)
from support.authorities import NAMES, START, entropy

DAY = timedelta(days=1)
CART = "spiffe://edgerun.test/ns/shop/origin/cart"


@pytest.fixture
def authority() -> Pair:
    return new_authority(NAMES, START, START + 365 * DAY, entropy())


@pytest.mark.parametrize("name", NAMES)
def test_a_server_is_believed_for_its_names(authority: Pair, name: str) -> None:
    server = new_server(NAMES, START, START + DAY, authority, entropy())
    assert believed(server, authority, name)


def test_nothing_else_is_believed_of_it(authority: Pair) -> None:
    server = new_server(NAMES, START, START + DAY, authority, entropy())
    assert not believed(server, authority, "kubernetes.default.svc")
    assert not believed(server, authority, NAMES[0], after=2 * DAY)
    chance = entropy()
    chance.key()
    namesake = new_authority(NAMES, START, START + 365 * DAY, chance)
    assert parsed(namesake.certificate).subject == parsed(authority.certificate).subject
    assert not believed(server, namesake, NAMES[0])


def test_an_authority_cannot_speak_for_other_names(authority: Pair) -> None:
    other = "kubernetes.default.svc"
    assert not believed(new_server([other], START, START + DAY, authority, entropy()), authority, other)


def test_extensions_are_those_of_rfc_5280(authority: Pair) -> None:
    found = parsed(authority.certificate)
    server = parsed(new_server(NAMES, START, START + DAY, authority, entropy()).certificate)
    assert critical(found) == {"basicConstraints", "keyUsage", "nameConstraints"}
    assert critical(server) == {"basicConstraints", "keyUsage"}
    basic = found.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (basic.ca, basic.path_length) == (True, 0)
    assert found.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    assert not server.extensions.get_extension_for_class(x509.KeyUsage).value.key_cert_sign
    ours = found.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value.digest
    assert server.extensions.get_extension_for_class(x509.AuthorityKeyIdentifier).value.key_identifier == ours


def test_the_same_chance_makes_the_same_certificates() -> None:
    assert new_authority(NAMES, START, START + DAY, entropy()) == new_authority(NAMES, START, START + DAY, entropy())


def test_a_key_is_not_shown_by_accident(authority: Pair) -> None:
    assert authority.key not in repr(authority)
    assert "PRIVATE" not in repr(authority)


@pytest.mark.parametrize("text", ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_not_quoted(text: str) -> None:
    with pytest.raises(ValueError, match="a private key cannot be read") as caught:
        parsed_key(text)
    assert "AAAA" not in str(caught.value)


@pytest.fixture
def workloads() -> Pair:
    """The authority of a trust domain, for OpenSSL, whose clock is the real one."""
    now = datetime.now(UTC)
    return new_workload_authority(["edgerun.test"], now - DAY, now + DAY, ENTROPY)


def test_an_authority_says_which_names_it_may_sign_for(authority: Pair, workloads: Pair) -> None:
    assert permitted(authority.certificate) == NAMES
    assert permitted(workloads.certificate) == ("edgerun.test",)


def test_a_workload_is_believed_by_its_spiffe_id_alone(workloads: Pair, tmp_path: Path) -> None:
    found = parsed(workloads.certificate)
    leaf = workload(workloads, CART)
    assert critical(found) == {"basicConstraints", "keyUsage", "nameConstraints"}
    assert critical(parsed(leaf.certificate)) == {"basicConstraints", "keyUsage", "subjectAltName"}
    assert handshake(leaf, workloads, tmp_path) == ""


OTHERS = (
    "spiffe://evil.test/ns/shop/origin/cart",
    "spiffe://edgerun.test.evil.test/ns/shop/origin/cart",
    "spiffe://a.edgerun.test/ns/shop/origin/cart",
    "spiffe://edgerun.test@evil.test/ns/shop/origin/cart",
)


@pytest.mark.parametrize("name", OTHERS)
def test_an_authority_cannot_speak_for_another_trust_domain(name: str, workloads: Pair, tmp_path: Path) -> None:
    assert "subtree violation" in handshake(workload(workloads, name), workloads, tmp_path)


@pytest.mark.parametrize(
    "name", [x509.DNSName("kubernetes.default.svc"), x509.IPAddress(ipaddress.ip_address("10.0.0.1"))]
)
def test_an_authority_for_workloads_cannot_speak_for_a_host(
    name: x509.GeneralName, workloads: Pair, tmp_path: Path
) -> None:
    assert "subtree violation" in handshake(also(workload(workloads, CART), name, workloads), workloads, tmp_path)


def workload(authority: Pair, name: str) -> Pair:
    now = datetime.now(UTC)
    return new_workload(name, now - timedelta(hours=1), now + timedelta(hours=1), authority, ENTROPY)


def also(leaf: Pair, name: x509.GeneralName, authority: Pair) -> Pair:
    """The same with another name beside its own, as nobody but who has stolen the key would sign it."""
    found, builder = parsed(leaf.certificate), x509.CertificateBuilder()
    builder = builder.subject_name(found.subject).issuer_name(found.issuer).public_key(found.public_key())
    builder = builder.serial_number(1).not_valid_before(found.not_valid_before_utc)
    builder = builder.not_valid_after(found.not_valid_after_utc)
    for one in found.extensions:
        if isinstance(one.value, x509.SubjectAlternativeName):
            builder = builder.add_extension(x509.SubjectAlternativeName([*one.value, name]), one.critical)
        else:
            builder = builder.add_extension(one.value, one.critical)
    signed = builder.sign(parsed_key(authority.key), hashes.SHA256())
    return Pair(signed.public_bytes(Encoding.PEM).decode(), leaf.key)


def handshake(server: Pair, authority: Pair, folder: Path) -> str:
    """Why OpenSSL does not believe `server`, "" when it does."""
    (folder / "pair.pem").write_text(server.key + server.certificate)
    serving, calling = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    serving.load_cert_chain(folder / "pair.pem")
    calling.check_hostname = False
    calling.load_verify_locations(cadata=authority.certificate)
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [serving.wrap_bio(there, back, server_side=True), calling.wrap_bio(back, there)]
    while ends:
        for end in tuple(ends):
            try:
                end.do_handshake()
                ends.remove(end)
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError as error:
                return error.verify_message
    return ""


def believed(server: Pair, authority: Pair, name: str, *, after: timedelta = timedelta(hours=1)) -> bool:
    """Whether who trusts `authority` believes `server` to be `name`."""
    verifier = PolicyBuilder().store(Store([parsed(authority.certificate)])).time(START + after)
    try:
        verifier.build_server_verifier(x509.DNSName(name)).verify(parsed(server.certificate), [])
    except VerificationError:
        return False
    return True


def critical(certificate: x509.Certificate) -> set[str]:
    return {one.oid._name for one in certificate.extensions if one.critical}
