"""TLS to origins elsewhere, WebSocket, HTTP/2: through a real Envoy."""

import asyncio
import datetime
import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.origins import origin
from support.sockets import websocket
from support.standalone import standalone

pytestmark = pytest.mark.envoy


@dataclass
class Authority:
    """A certificate authority of this test alone."""

    directory: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def at(cls, directory: Path) -> "Authority":
        directory.mkdir()
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = _certificate("ca", key, key.public_key(), "ca", x509.BasicConstraints(ca=True, path_length=0))
        (directory / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(directory, key, certificate)

    @property
    def file(self) -> str:
        return str(self.directory / "ca.pem")

    def context(self, *names: x509.GeneralName) -> ssl.SSLContext:
        """A server's context with a certificate for `names`."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = _certificate("leaf", self.key, key.public_key(), "ca", x509.SubjectAlternativeName(names))
        pem = self.directory / "leaf.pem"
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        pem.write_bytes(private + leaf.public_bytes(serialization.Encoding.PEM))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        return context


def _certificate(
    subject: str,
    signer: ec.EllipticCurvePrivateKey,
    key: ec.EllipticCurvePublicKey,
    issuer: str,
    extension: x509.ExtensionType,
) -> x509.Certificate:
    now = datetime.datetime.now(datetime.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(extension, critical=False)
    )
    return builder.sign(signer, hashes.SHA256())


ADDRESS = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def route(url: str) -> str:
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: web}}
spec: {{rules: [{{origins: [{{url: "{url}"}}]}}]}}
"""


@pytest.mark.parametrize(
    ("host", "name", "status"),
    [
        ("127.0.0.1", ADDRESS, 200),
        ("localhost", x509.DNSName("localhost"), 200),
        ("localhost", x509.DNSName("other.test"), 503),
        ("127.0.0.1", x509.DNSName("127.0.0.1"), 503),
    ],
)
async def test_an_https_origin_is_verified_by_its_own_name(
    tmp_path: Path, host: str, name: x509.GeneralName, status: int
) -> None:
    authority = Authority.at(tmp_path / "ca")
    (tmp_path / "yaml").mkdir()
    async with (
        origin("secure", tls=authority.context(name)) as secure,
        standalone(tmp_path / "yaml", route(f"https://{host}:{secure.port}"), ca_file=authority.file) as here,
    ):
        await here.until("web")
        assert (await here.get("/")).status == status


async def test_an_https_origin_of_an_unknown_authority_gets_no_request(tmp_path: Path) -> None:
    authority, stranger = Authority.at(tmp_path / "ca"), Authority.at(tmp_path / "stranger")
    (tmp_path / "yaml").mkdir()
    async with (
        origin("secure", tls=stranger.context(ADDRESS)) as secure,
        standalone(tmp_path / "yaml", route(f"https://127.0.0.1:{secure.port}"), ca_file=authority.file) as here,
    ):
        await here.until("web")
        assert (await here.get("/")).status == 503
        assert secure.requests == []


async def test_a_websocket_lives_through_an_edit(tmp_path: Path) -> None:
    async with origin("echo") as echo, standalone(tmp_path, route(f"http://127.0.0.1:{echo.port}")) as here:
        await here.until("web")
        async with websocket(here.port, "/chat") as talk:
            assert await talk.exchange(b"before") == b"before"
            here.write(route("http://127.0.0.1:1"))
            await here.until("web", type="Programmed", generation=2)
            assert (await here.get("/")).status == 503
            assert await talk.exchange(b"after") == b"after"


async def test_http2_with_prior_knowledge_is_answered(tmp_path: Path) -> None:
    async with origin("echo") as echo, standalone(tmp_path, route(f"http://127.0.0.1:{echo.port}")) as here:
        await here.until("web")
        reader, writer = await asyncio.open_connection("127.0.0.1", here.port)
        # GET, http and / stand in HPACK's static table (RFC 7541, appendix A); the authority is written out.
        headers = b"\x82\x86\x84\x41\x09localhost"
        writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0) + frame(1, 0x5, 1, headers))
        assert b"\x88" in await answered_headers(reader), "indexed :status 200"
        writer.close()


def frame(type: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """An HTTP/2 frame (RFC 9113, 4.1)."""
    return len(payload).to_bytes(3, "big") + bytes((type, flags)) + stream.to_bytes(4, "big") + payload


async def answered_headers(reader: asyncio.StreamReader) -> bytes:
    """The header block of the first HEADERS frame."""
    while True:
        head = await asyncio.wait_for(reader.readexactly(9), 60)
        payload = await reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == 1:
            return payload[:8]
