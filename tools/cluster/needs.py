"""What the machine must bring along: Debian's packages, Go, and for a whole cluster the rights of root.

As root on Debian or Ubuntu it installs what is missing; elsewhere it says what to install. Changes nothing else.
Trap: Debian's etcd and containerd packages start services of their own where systemd runs. They do no harm: the
cluster's are in namespaces of their own, or on addresses of their own.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tools.cluster.progress import ClusterError, say, step

FOR_API_SERVER = {"etcd": "etcd-server"}
FOR_CLUSTER = FOR_API_SERVER | {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "ptp": "containernetworking-plugins",
    "ip": "iproute2",
    "nft": "nftables",
    "nsenter": "util-linux",
    "unshare": "util-linux",
}
FOR_IMAGE = {"buildah": "buildah", "mmdebstrap": "mmdebstrap", "unshare": "util-linux"}
CNI_FOLDERS = ("/usr/lib/cni", "/usr/libexec/cni", "/opt/cni/bin")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/sbin", "/usr/sbin", "/sbin", *CNI_FOLDERS])
GO = "Go 1.24 or newer builds the cluster's programs; install it (https://go.dev/doc/install) and try again"
# From this one on Go fetches the version that a go.mod asks for.
OLDEST_GO = (1, 21)


def found(command: str) -> str | None:
    return shutil.which(command, path=PATH)


def folder_of(command: str) -> str:
    """The folder of a command that `require` saw."""
    path = found(command)
    if path is None:
        raise ClusterError(f"{command} has vanished")
    return str(Path(path).parent)


def require_root() -> None:
    if os.geteuid() != 0:
        raise ClusterError(
            "a cluster needs root: it makes namespaces, mounts and containers. Try: sudo make cluster\n"
            "  without root there is the API server alone: tools/cluster/up --apiserver-only"
        )


def require_go() -> str:
    """The path of the go command."""
    # sudo and cron leave the usual place out of the PATH.
    go = found("go") or shutil.which("/usr/local/go/bin/go")
    version = _go_version(go) if go else None
    if go is None or version is None or version < OLDEST_GO:
        raise ClusterError(f"{GO}; found: {'.'.join(map(str, version)) if version else 'none'}")
    return go


def _go_version(go: str) -> tuple[int, ...] | None:
    told = subprocess.run([go, "env", "GOVERSION"], capture_output=True, text=True).stdout
    version = re.match(r"go(\d+)\.(\d+)", told)
    return (int(version[1]), int(version[2])) if version else None


def require(packages: Mapping[str, str]) -> None:
    """Makes sure that every command is there; the mapping names the package of each."""
    if missing := _missing(packages):
        if os.geteuid() != 0 or not found("apt-get"):
            raise ClusterError(f"missing: {' '.join(missing)}. Install them: sudo apt-get install {' '.join(missing)}")
        say(f"installing {' '.join(missing)}")
        with step("installed"):
            _install(missing)
    if missing := _missing(packages):
        raise ClusterError(f"still missing after their installation: {' '.join(missing)}")


def _missing(packages: Mapping[str, str]) -> list[str]:
    return sorted({package for command, package in packages.items() if not found(command)})


def _install(packages: list[str]) -> None:
    apt = ["apt-get", "-qq", "-o", "DPkg::Lock::Timeout=300"]
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    for command in ([*apt, "update"], [*apt, "install", "--yes", "--no-install-recommends", *packages]):
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        if done.returncode:
            raise ClusterError(f"{' '.join(command)}\n{done.stderr.strip()}")
