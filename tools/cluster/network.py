"""The addresses of one cluster, and the cable between the host and the cluster's network namespace.

All addresses are of 198.18.0.0/15, the range for benchmarks, which is nobody's own network. Up to 16 clusters share it:
each has a slot, claimed by making the network device of that name, so two can never have the same.
Trap: the cable does not vanish with the last process. A connection that was open keeps the namespace, and with it the
cable, for minutes more; `Cable.remove` does not wait for that.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from tools.cluster.progress import ClusterError, run, within
from tools.cluster.sandbox import Sandbox

SLOTS = 16
GONE_WITHIN_S = 5


@dataclass(frozen=True, slots=True)
class Network:
    """Half of a slot's 4096 addresses are for pods; beyond them lie the two ends of the cable."""

    slot: int

    @property
    def device(self) -> str:
        return f"edgerun{self.slot}"

    @property
    def services(self) -> str:
        return f"198.18.{self._third}.0/20"

    @property
    def api_service(self) -> str:
        return f"198.18.{self._third}.1"

    @property
    def dns_service(self) -> str:
        return f"198.18.{self._third}.10"

    @property
    def pods(self) -> str:
        return f"198.19.{self._third}.0/21"

    @property
    def node(self) -> str:
        return f"198.19.{self._third + 8}.1"

    @property
    def host(self) -> str:
        return f"198.19.{self._third + 8}.2"

    @property
    def _third(self) -> int:
        return self.slot * 16


@dataclass(frozen=True, slots=True)
class Cable:
    """The host's end, as it was made: a later device of the same name has another index."""

    device: str
    index: str

    @classmethod
    def parse(cls, text: str) -> "Cable":
        return cls(*text.split())

    def __str__(self) -> str:
        return f"{self.device} {self.index}"

    def remove(self) -> None:
        if _index(self.device) == self.index:
            with contextlib.suppress(ClusterError):  # the kernel was quicker
                run("ip", "link", "delete", self.device)
        within(GONE_WITHIN_S, f"the end of the network device {self.device}", lambda: _index(self.device) != self.index)


def connect(sandbox: Sandbox) -> tuple[Network, Cable]:
    """Claims a free slot and connects the host with the cluster's pods and services. There is no way further out."""
    network = next((free for free in map(Network, range(SLOTS)) if _claimed(free, sandbox)), None)
    if network is None:
        raise ClusterError(f"{SLOTS} clusters run on this machine; stop one: tools/cluster/down FOLDER")
    ip = ("ip", "-4")
    run(*ip, "address", "add", f"{network.host}/30", "dev", network.device)
    run("ip", "link", "set", network.device, "up")
    run(*sandbox.network_inside([*ip, "address", "add", f"{network.node}/30", "dev", "eth0"]))
    run(*sandbox.network_inside(["ip", "link", "set", "eth0", "up"]))
    for range_ in (network.pods, network.services):
        run(*ip, "route", "add", range_, "via", network.node, "dev", network.device)
    return network, Cable(network.device, _index(network.device))


def _claimed(network: Network, sandbox: Sandbox) -> bool:
    """Tries to make the device, whose name only one can have."""
    if _index(network.device):
        return False
    peer = ("peer", "name", "eth0", "netns", str(sandbox.init.pid))
    try:
        run("ip", "link", "add", network.device, "type", "veth", *peer)
    except ClusterError as error:
        if "File exists" in str(error):
            return False
        raise
    return True


def _index(device: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        return Path(f"/sys/class/net/{device}/ifindex").read_text().strip()
    return ""


def any_device() -> bool:
    """Whether some cluster is connected to this machine."""
    return any(_index(network.device) for network in map(Network, range(SLOTS)))
