"""Settings of one instance. Every field says what it means, its unit and why it has its default."""

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Cluster mode: `edgerun controller`."""

    namespace: str
    """Where the operator lives, and its edge pods with it."""

    pod_name: str
    """Names this replica in the Lease; two must never share one."""

    pod_ip: str
    """Where proxies reach this replica while it leads."""

    image: str
    """Of the edge pods: the operator's own."""

    image_pull_policy: str = ""
    image_pull_secrets: tuple[str, ...] = ()
    """Of the edge pods, as the operator's own."""

    name: str = "edgerun"
    """The operator's Deployment, and what the names of the Lease, the Secret and the Services begin with."""

    xds_port: int = 18_000
    """Where the leader serves proxies: istiod and Envoy Gateway have taught people this number."""

    http_port: int = DEFAULT_PORT
    """Health and metrics."""

    watch_namespaces: tuple[str, ...] = ()
    """Whose objects count; none means those of the whole cluster."""

    default_edge_proxy: Mapping[str, Any] = field(default_factory=dict)
    """The spec of the EdgeProxy `default`, should the operator have to make it."""

    kubeconfig: Path | None = None
    """How to reach the API server from outside of a pod."""

    ca_file: str = "/etc/ssl/certs/ca-certificates.crt"
    """Certificate authorities for https origins: a path in the image."""

    issuer: str = ""
    """Who signs the edge's tokens, as a URL: verifiers outside find the keys below it. By default the operator's own
    Service, `https://NAME.NAMESPACE.svc`."""

    trust_domain: str = "cluster.local"
    """Of the SPIFFE IDs of edge proxies and guards; an audience begins with it, too. Two clusters whose origins trust
    each other's authorities need two."""

    token_life: timedelta = timedelta(hours=1)
    """Of the edge's tokens: what a leaked one is good for, and the most that an outage of the operator may last."""

    token_renewal: float = 0.5
    """The part of its life after which a token is replaced, at the latest; the rest is there for an outage."""

    key_interval: timedelta = timedelta(hours=24)
    """How long a key signs."""

    key_overlap: timedelta = timedelta(hours=24)
    """How long before it signs a key is told to verifiers; longer than the interval is no more than the interval."""

    def __post_init__(self) -> None:
        if not self.issuer:
            object.__setattr__(self, "issuer", f"https://{self.name}.{self.namespace}.svc")

    @property
    def xds_service(self) -> str:
        return f"{self.name}-xds"


def system_ca_file() -> str:
    """Where this system keeps the certificate authorities it trusts; `SSL_CERT_FILE` overrides, as in OpenSSL."""
    found = ssl.get_default_verify_paths().cafile
    candidates = (found, *_SYSTEM_CA_FILES) if found else _SYSTEM_CA_FILES
    return next((path for path in candidates if Path(path).exists()), _SYSTEM_CA_FILES[0])
