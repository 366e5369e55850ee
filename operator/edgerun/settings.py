"""Settings of one instance. Every field says what it means, its unit and why it has its default."""

import ssl
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PORT = 8080
# A rebuild makes many objects and keeps most. Python's default, a look at the youngest every 700, doubles its time.
GC_THRESHOLDS = (100_000, 20, 100)
_SYSTEM_CA_FILES = (
    "/etc/ssl/certs/ca-certificates.crt",  # Debian, Alpine
    "/etc/pki/tls/certs/ca-bundle.crt",  # Fedora
    "/etc/ssl/cert.pem",  # macOS
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """Standalone mode: `edgerun local`."""

    directory: Path
    """Where the YAML is, all of it below; also what a relative `workingDir` is relative to."""

    port: int = DEFAULT_PORT
    """Where the edge listens."""

    address: str = "127.0.0.1"
    """On which address: by default nobody but this machine can call."""

    concurrency: int = 2
    """Worker threads of Envoy: one would serialise, more than a laptop's work needs only cost memory."""

    drain_s: float = 5.0
    """How long requests in flight may take when the instance stops, in seconds."""

    ca_file: str = ""
    """Certificate authorities for https origins; "" means those of the system (or $SSL_CERT_FILE)."""


def system_ca_file() -> str:
    """Where this system keeps the certificate authorities it trusts; `SSL_CERT_FILE` overrides, as in OpenSSL."""
    found = ssl.get_default_verify_paths().cafile
    candidates = (found, *_SYSTEM_CA_FILES) if found else _SYSTEM_CA_FILES
    return next((path for path in candidates if Path(path).exists()), _SYSTEM_CA_FILES[0])
