"""The node: containerd, the kubelet and kube-proxy, as configuration files and command lines. Pure.

The machine is only partly ours: it may be without CAP_SYS_RESOURCE, with swap, on control groups of version 1, so the
kubelet runs with the tolerance that it has for user namespaces.
Trap: pods are connected by point-to-point links, not by a bridge. Behind a bridge the answer of a Service's pod to its
neighbour goes around the address translation, unless the host has a certain kernel module.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tools.cluster.build import IMAGES
from tools.cluster.control_plane import Command
from tools.cluster.network import Network
from tools.cluster.pki import Pair
from tools.cluster.places import Folder, program

NAME = "edgerun"
CONTAINERD = Template("""\
version = 2
root = "$root/containerd"
state = "/run/containerd"
[grpc]
  address = "$socket"
[plugins."io.containerd.internal.v1.opt"]
  path = "$root/opt"
[plugins."io.containerd.grpc.v1.cri"]
  restrict_oom_score_adj = true
  disable_apparmor = true
  sandbox_image = "$pause"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$plugins"
    conf_dir = "$root/cni"
""")


@dataclass(frozen=True, slots=True)
class Node:
    """What the node's programs are told."""

    folder: Folder
    network: Network
    authority: Path
    serving: Pair
    cgroup: str

    def write_files(self, plugins: str) -> None:
        self.folder.write("containerd.toml", self._containerd(plugins))
        self.folder.part("cni")
        self.folder.write("cni/10-edgerun.conflist", json.dumps(self._cni(), indent=1))
        self.folder.write("kubelet.json", json.dumps(self._kubelet(), indent=1))

    def containerd(self) -> Command:
        return ["containerd", "--config", str(self.folder.root / "containerd.toml")]

    def kubelet(self, kubeconfig: Path) -> Command:
        return [
            str(program("kubelet")),
            f"--config={self.folder.root / 'kubelet.json'}",
            f"--kubeconfig={kubeconfig}",
            f"--root-dir={self.folder.part('kubelet')}",
            f"--hostname-override={NAME}",
            f"--node-ip={self.network.node}",
        ]

    def proxy(self, kubeconfig: Path) -> Command:
        return [
            str(program("kube-proxy")),
            f"--kubeconfig={kubeconfig}",
            f"--hostname-override={NAME}",
            f"--cluster-cidr={self.network.pods}",
            "--proxy-mode=nftables",
            # The table of connections is the machine's; its size is not ours to set.
            "--conntrack-max-per-core=0",
            "--nodeport-addresses=primary",
        ]

    def _containerd(self, plugins: str) -> str:
        return CONTAINERD.substitute(
            root=self.folder.root, socket=self.folder.containerd_socket, pause=IMAGES["pause"], plugins=plugins
        )

    def _cni(self) -> dict[str, object]:
        addresses = {
            "type": "host-local",
            "ranges": [[{"subnet": self.network.pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
            "dataDir": str(self.folder.root / "addresses"),
        }
        return {"cniVersion": "0.4.0", "name": "edgerun", "plugins": [{"type": "ptp", "ipam": addresses}]}

    def _kubelet(self) -> dict[str, object]:
        return {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "containerRuntimeEndpoint": f"unix://{self.folder.containerd_socket}",
            "clusterDomain": "cluster.local",
            "clusterDNS": [self.network.dns_service],
            # Pods have no way out, so the host's name servers are of no use to them.
            "resolvConf": "",
            "makeIPTablesUtilChains": False,
            "volumePluginDir": str(self.folder.part("volume-plugins")),
            **self._kubelet_access(),
            **self._kubelet_resources(),
        }

    def _kubelet_access(self) -> dict[str, object]:
        clients = {"clientCAFile": str(self.authority)}
        return {
            "tlsCertFile": str(self.serving.certificate),
            "tlsPrivateKeyFile": str(self.serving.key),
            "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": clients},
            "authorization": {"mode": "Webhook"},
        }

    def _kubelet_resources(self) -> dict[str, object]:
        return {
            "featureGates": {"KubeletInUserNamespace": True},
            "failSwapOn": False,
            "failCgroupV1": False,
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{self.cgroup}",
            "enforceNodeAllocatable": [],
            "maxPods": 250,
            # Images are loaded by hand and cannot be pulled again: never throw one away.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"nodefs.available": "1%", "imagefs.available": "1%", "memory.available": "100Mi"},
        }
