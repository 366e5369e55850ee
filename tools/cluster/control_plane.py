"""etcd, the API server, the controller manager and the scheduler: how they are started.

Pure: command lines and nothing else. Used for a whole cluster and for the API server alone.
Trap: the API server refuses to advertise a loopback address, so one that is alone advertises an address of the range
for documentation, and writes it nowhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.pki import Pair
from tools.cluster.places import program

NOT_ROUTED = "192.0.2.1"
TOKENS_ISSUER = "https://kubernetes.default.svc"
API_PORT = 6443
# The usual 20 requests/s make the controllers alone take four seconds to start.
UNTHROTTLED = {"kube-api-qps": "500", "kube-api-burst": "1000"}

Command = list[str]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the API server listens, and how pods reach it, if there are any."""

    address: str
    services: str
    advertised: str | None = None

    @property
    def url(self) -> str:
        return f"https://{self.address}:{API_PORT}"


@dataclass(frozen=True, slots=True)
class Keys:
    """What the control plane proves itself with."""

    authority: Path
    tokens: Path
    server: Pair
    admin: Pair


def etcd(data: Path, address: str, keys: Keys) -> Command:
    clients, peers = f"https://{address}:2379", f"https://{address}:2380"
    options = {
        "data-dir": data,
        "listen-client-urls": clients,
        "advertise-client-urls": clients,
        "listen-peer-urls": peers,
        "initial-advertise-peer-urls": peers,
        "initial-cluster": f"default={peers}",
        **_etcd_tls(keys, ""),
        **_etcd_tls(keys, "peer-"),
    }
    # Nothing here outlives a crash, so nothing has to reach the disk.
    return ["etcd", *_flags(options), "--unsafe-no-fsync", "--client-cert-auth", "--peer-client-cert-auth"]


def _etcd_tls(keys: Keys, end: str) -> dict[str, object]:
    files = {"trusted-ca-file": keys.authority, "cert-file": keys.server.certificate, "key-file": keys.server.key}
    return {f"{end}{name}": path for name, path in files.items()}


def api_server(endpoint: Endpoint, etcd_address: str, keys: Keys) -> Command:
    options: dict[str, object] = {
        "etcd-servers": f"https://{etcd_address}:2379",
        "etcd-cafile": keys.authority,
        "etcd-certfile": keys.admin.certificate,
        "etcd-keyfile": keys.admin.key,
        "bind-address": endpoint.address,
        "secure-port": API_PORT,
        "advertise-address": endpoint.advertised or NOT_ROUTED,
        "endpoint-reconciler-type": "lease" if endpoint.advertised else "none",
        "service-cluster-ip-range": endpoint.services,
        "tls-cert-file": keys.server.certificate,
        "tls-private-key-file": keys.server.key,
        "client-ca-file": keys.authority,
        "service-account-issuer": TOKENS_ISSUER,
        "service-account-key-file": keys.tokens,
        "service-account-signing-key-file": keys.tokens,
        "authorization-mode": "Node,RBAC",
        "allow-privileged": "true",
        "kubelet-client-certificate": keys.admin.certificate,
        "kubelet-client-key": keys.admin.key,
        # The node's name is in no DNS.
        "kubelet-preferred-address-types": "InternalIP",
    }
    return [str(program("kube-apiserver")), *_flags(options)]


def controller_manager(kubeconfig: Path, keys: Keys) -> Command:
    options = {
        "kubeconfig": kubeconfig,
        "service-account-private-key-file": keys.tokens,
        "root-ca-file": keys.authority,
        "use-service-account-credentials": "true",
        "leader-elect": "false",
        "flex-volume-plugin-dir": kubeconfig.parent / "no-plugins",
        **UNTHROTTLED,
    }
    return [str(program("kube-controller-manager")), *_flags(options)]


def scheduler(kubeconfig: Path) -> Command:
    options = {"kubeconfig": kubeconfig, "leader-elect": "false", **UNTHROTTLED}
    return [str(program("kube-scheduler")), *_flags(options)]


def _flags(options: Mapping[str, object]) -> Command:
    return [f"--{name}={value}" for name, value in options.items()]
