"""The order in which a cluster comes up, and what each part waits for.

Two sizes: `api_server_alone` needs no root and has no nodes; `whole` is a node that runs pods. Both leave a folder from
which everything can be found again. Owns no flags: those are in control_plane.py and node.py.
Trap: programs that need the API server are started when it is ready. Earlier ones give up or wait long to try again.
"""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from string import Template

from tools.cluster import build, control_plane, needs, places
from tools.cluster.control_plane import Endpoint, Keys
from tools.cluster.network import Network, connect
from tools.cluster.node import NAME, Node
from tools.cluster.pki import Authority, write_kubeconfig, write_token_key
from tools.cluster.places import Folder
from tools.cluster.processes import ENVIRONMENT, Register
from tools.cluster.progress import ClusterError, run, step
from tools.cluster.sandbox import Sandbox, make_cgroups, open_sandbox

ADDONS = Path(__file__).parent / "addons"
API_WITHIN_S = 90
NODE_WITHIN_S = 90
DNS_WITHIN_S = 60
CABLE = "cable"
LOOPBACK = "127.0.0.1"
SERVER_NAMES = ("localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc")


@dataclass(frozen=True, slots=True)
class Start:
    """One cluster while it comes up."""

    folder: Folder
    register: Register
    endpoint: Endpoint
    authority: Authority
    keys: Keys
    sandbox: Sandbox | None = None

    def program(self, name: str, command: list[str]) -> None:
        placed = self.sandbox.inside(command) if self.sandbox else command
        self.register.start(name, placed, path=needs.PATH)

    def client(self, name: str, user: str, group: str | None = None) -> Path:
        """A kubeconfig for one of the cluster's own programs."""
        pair = self.authority.issue(name, user, group)
        path = self.authority.folder / f"{name}.kubeconfig"
        return write_kubeconfig(path, self.endpoint.url, self.authority.certificate, pair)

    def wait(self, seconds: float, what: str, *arguments: str) -> None:
        """Waits until kubectl succeeds."""
        self.register.wait(seconds, what, lambda: kubectl_succeeds(self.folder.kubeconfig, *arguments))


def register_of(folder: Folder) -> Register:
    return Register(folder.part("pids"), folder.part("logs"))


def cgroup_of(folder: Folder) -> str:
    """The control group of its pods, found again from the folder alone."""
    return f"edgerun-{sha256(bytes(folder.root)).hexdigest()[:8]}"


def kubectl_succeeds(kubeconfig: Path, *arguments: str) -> bool:
    try:
        kubectl(kubeconfig, "--request-timeout=5s", *arguments)
    except ClusterError:
        return False
    return True


def kubectl(kubeconfig: Path, *arguments: str, stdin: str | None = None) -> str:
    return run(str(places.program("kubectl")), f"--kubeconfig={kubeconfig}", *arguments, stdin=stdin, env=ENVIRONMENT)


def load_images(folder: Folder, archives: Iterable[Path]) -> None:
    for archive in archives:
        run("ctr", f"--address={folder.containerd_socket}", "--namespace=k8s.io", "images", "import", str(archive))


def prepare(*, api_server_only: bool) -> None:
    """Makes sure that all is there that a start needs. Takes long the first time."""
    needs.require(needs.FOR_API_SERVER if api_server_only else needs.FOR_CLUSTER)
    build.build(build.FOR_API_SERVER if api_server_only else build.FOR_CLUSTER)


def api_server_alone(folder: Folder) -> None:
    """etcd and the API server, on a loopback address of their own so that any number can run side by side."""
    address = f"127.{random.randint(1, 254)}.{random.randint(0, 255)}.{random.randint(1, 254)}"  # noqa: S311
    start = Start(folder, register_of(folder), Endpoint(address, Network(0).services), *_keys(folder, [address]))
    with step("the API server is ready"):
        _start_api_server(start, etcd_address=address)
        _wait_for_api_server(start)


def whole(folder: Folder) -> None:
    """A cluster of one node, in namespaces of its own."""
    register = register_of(folder)
    sandbox = open_sandbox(register)
    network, cable = connect(sandbox)
    folder.write(CABLE, str(cable))
    make_cgroups(cgroup_of(folder))
    authority, keys = _keys(folder, [LOOPBACK, network.node, network.api_service])
    endpoint = Endpoint(network.node, network.services, advertised=network.node)
    start = Start(folder, register, endpoint, authority, keys, sandbox)
    node = _node(start, network)
    _start_control_plane(start, node)
    _start_node(start, node)
    _start_dns(start, network)


def _keys(folder: Folder, addresses: list[str]) -> tuple[Authority, Keys]:
    authority = Authority(folder.part("keys"))
    authority.establish()
    return authority, Keys(
        authority=authority.certificate,
        tokens=write_token_key(authority.folder / "tokens.key"),
        server=authority.issue("server", "kube-apiserver", names=[*SERVER_NAMES, *addresses]),
        admin=authority.issue("admin", "admin", "system:masters"),
    )


def _node(start: Start, network: Network) -> Node:
    serving = start.authority.issue("kubelet-server", NAME, names=[NAME, network.node])
    node = Node(start.folder, network, start.authority.certificate, serving, cgroup_of(start.folder))
    node.write_files(plugins=needs.folder_of("ptp"))
    return node


def _start_control_plane(start: Start, node: Node) -> None:
    with step("the API server is ready"):
        start.program("containerd", node.containerd())
        _start_api_server(start, etcd_address=LOOPBACK)
        start.register.wait(NODE_WITHIN_S, "containerd", start.folder.containerd_socket.exists)
        load_images(start.folder, map(places.image, build.IMAGES))
        _wait_for_api_server(start)


def _start_api_server(start: Start, *, etcd_address: str) -> None:
    admin = start.keys.admin
    write_kubeconfig(start.folder.kubeconfig, start.endpoint.url, start.authority.certificate, admin)
    start.program("etcd", control_plane.etcd(start.folder.part("etcd"), etcd_address, start.keys))
    start.program("kube-apiserver", control_plane.api_server(start.endpoint, etcd_address, start.keys))


def _wait_for_api_server(start: Start) -> None:
    start.wait(API_WITHIN_S, "the API server to be ready", "get", "--raw", "/readyz")
    start.wait(API_WITHIN_S, "the first namespaces", "get", "namespace", "kube-system", "default")


def _start_node(start: Start, node: Node) -> None:
    manager = start.client("kube-controller-manager", "system:kube-controller-manager")
    scheduler = start.client("kube-scheduler", "system:kube-scheduler")
    with step("the node is ready"):
        start.program("kubelet", node.kubelet(start.client("kubelet", f"system:node:{NAME}", "system:nodes")))
        start.program("kube-controller-manager", control_plane.controller_manager(manager, start.keys))
        start.program("kube-scheduler", control_plane.scheduler(scheduler))
        start.program("kube-proxy", node.proxy(start.client("kube-proxy", "system:kube-proxy")))
        start.wait(NODE_WITHIN_S, "the node", "wait", f"node/{NAME}", "--for=condition=Ready", "--timeout=1s")


def _start_dns(start: Start, network: Network) -> None:
    template = Template((ADDONS / "coredns.yaml").read_text())
    manifest = template.substitute(dns=network.dns_service, image=build.IMAGES["coredns"])
    with step("the DNS is ready"):
        kubectl(start.folder.kubeconfig, "apply", "--server-side", "--filename=-", stdin=manifest)
        rollout = ("--namespace=kube-system", "rollout", "status", "deployment/coredns", "--timeout=1s")
        start.wait(DNS_WITHIN_S, "CoreDNS", *rollout)
