"""What a client that checks everything makes of the certificates."""

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from edgerun.credentials.certificates import Pair, new_authority, new_server, parsed, parsed_key
from support.authorities import NAMES, START, entropy

DAY = timedelta(days=1)


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
