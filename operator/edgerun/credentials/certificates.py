"""The certificates that there are, as PEM: an authority for a few DNS names and a server with these names, an authority
for a trust domain and a workload of it.

Deterministic: time and everything that chance decides are arguments.
Trap: an authority's names are a constraint that its verifiers enforce. What it signs for any other name, nobody
believes. Envoy and OpenSSL enforce that for URIs too, and there it is the host of the URI that counts, as a whole.
"""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_SERVES, _CALLS = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
_EVERY_ADDRESS = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class Entropy:
    """Where keys and serial numbers come from."""

    key: Callable[[], EllipticCurvePrivateKey] = lambda: generate_private_key(SECP256R1())
    serial: Callable[[], int] = x509.random_serial_number


ENTROPY = Entropy()


@dataclass(frozen=True, slots=True)
class Pair:
    """A certificate and its private key."""

    certificate: str
    key: str = field(repr=False)


def new_authority(names: Sequence[str], starts: datetime, ends: datetime, entropy: Entropy) -> Pair:
    """A root that may sign for servers of these DNS names, and for nothing else."""
    constraints = x509.NameConstraints([x509.DNSName(name) for name in names], _every_address())
    return _authority("edgerun xDS authority", constraints, starts, ends, entropy)


def new_workload_authority(trust_domains: Sequence[str], starts: datetime, ends: datetime, entropy: Entropy) -> Pair:
    """A root that may sign SPIFFE IDs of these trust domains, and nothing else."""
    domains = [x509.UniformResourceIdentifier(name) for name in trust_domains]
    # What is not named at all is not constrained at all: every DNS name has to be.
    constraints = x509.NameConstraints(domains, [*_every_address(), x509.DNSName("")])
    return _authority("edgerun workload authority", constraints, starts, ends, entropy)


def new_server(names: Sequence[str], starts: datetime, ends: datetime, authority: Pair, entropy: Entropy) -> Pair:
    """A server's certificate, signed by `authority`."""
    shown = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    return _leaf(_subject("edgerun xDS server"), shown, [_SERVES], starts, ends, authority, entropy)


def new_workload(spiffe_id: str, starts: datetime, ends: datetime, authority: Pair, entropy: Entropy) -> Pair:
    """The X.509-SVID of a proxy, which both serves and calls; it has no name but its SPIFFE ID."""
    shown = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(spiffe_id)])
    return _leaf(x509.Name([]), shown, [_SERVES, _CALLS], starts, ends, authority, entropy)


def parsed(certificate: str) -> x509.Certificate:
    """Raises ValueError when it is none."""
    return x509.load_pem_x509_certificate(certificate.encode())


def parsed_key(key: str) -> EllipticCurvePrivateKey:
    """Raises ValueError, which quotes nothing, when it is none of ours."""
    try:
        found = load_pem_private_key(key.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError("a private key cannot be read") from None
    if not isinstance(found, EllipticCurvePrivateKey):
        raise ValueError("a private key is not one of an elliptic curve")
    return found


def permitted(certificate: str) -> tuple[str, ...]:
    """The names that this authority may sign for."""
    constraints = parsed(certificate).extensions.get_extension_for_class(x509.NameConstraints).value
    return tuple(str(name.value) for name in constraints.permitted_subtrees or ())


def _authority(
    title: str, constraints: x509.NameConstraints, starts: datetime, ends: datetime, entropy: Entropy
) -> Pair:
    key, serial = entropy.key(), entropy.serial()
    subject = _subject(f"{title} {serial:x}"[:64])  # another one for each: their paths must not mix
    builder = (
        _builder(key, serial, starts, ends)
        .subject_name(subject)
        .issuer_name(subject)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
    )
    return _pair(builder, key, key)


def _leaf(
    subject: x509.Name,
    shown: x509.SubjectAlternativeName,
    uses: Sequence[x509.ObjectIdentifier],
    starts: datetime,
    ends: datetime,
    authority: Pair,
    entropy: Entropy,
) -> Pair:
    key = entropy.key()
    issuer, issuer_key = parsed(authority.certificate), parsed_key(authority.key)
    builder = (
        _builder(key, entropy.serial(), starts, ends)
        .subject_name(subject)
        .issuer_name(issuer.subject)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(uses), critical=False)
        .add_extension(shown, critical=not subject.rdns)  # RFC 5280, 4.2.1.6
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
    )
    return _pair(builder, key, issuer_key)


def _builder(key: EllipticCurvePrivateKey, serial: int, starts: datetime, ends: datetime) -> x509.CertificateBuilder:
    public = key.public_key()
    return (
        x509.CertificateBuilder()
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(starts)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _pair(builder: x509.CertificateBuilder, key: EllipticCurvePrivateKey, issuer: EllipticCurvePrivateKey) -> Pair:
    certificate = builder.sign(issuer, hashes.SHA256(), ecdsa_deterministic=True)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return Pair(certificate.public_bytes(Encoding.PEM).decode(), private.decode())


def _every_address() -> list[x509.GeneralName]:
    return [x509.IPAddress(ipaddress.ip_network(network)) for network in _EVERY_ADDRESS]


def _subject(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
