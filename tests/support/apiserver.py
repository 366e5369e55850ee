"""A real etcd and kube-apiserver for a test session, with the project's CRDs, and objects to put there.

Started by tools/cluster in a folder of its own on loopback addresses of its own, so several can run side by side.
Trap: there are no controllers behind it. Nothing is garbage collected, and a namespace is never quite deleted.
"""

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.cluster import places

from edgerun.api import API_VERSION
from edgerun.api.meta import ObjectKey
from edgerun.api.schema import definitions
from edgerun.infra.kubernetes.client import connected
from support.poll import eventually, eventually_sync

TOOLS = Path(__file__).parents[2] / "tools" / "cluster"
LABEL = "made-by"


@dataclass(frozen=True, slots=True)
class ApiServer:
    folder: Path

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """It neither answers nor refuses, as when its machine is out of memory."""
        process = int((self.folder / "pids" / "kube-apiserver").read_text().split()[0])
        os.kill(process, signal.SIGSTOP)
        try:
            eventually_sync(lambda: _stands_still(process))
            yield
        finally:
            os.kill(process, signal.SIGCONT)


def _stands_still(process: int) -> bool:
    """A signal stops each thread in its own time, and one that still runs can answer."""
    threads = (Path("/proc") / str(process) / "task").glob("*/stat")
    return all(stat.read_text().rpartition(") ")[2].startswith("T") for stat in threads)


def missing() -> str:
    """Why there can be no API server on this machine; "" when there can."""
    for name in ("kube-apiserver", "kubectl"):
        if not places.program(name).exists():
            return f"{name} is not built; build it with: tools/cluster/build"
    return "" if shutil.which("etcd") else "etcd is not installed; on Debian: apt-get install etcd-server"


@contextmanager
def running(folder: Path) -> Iterator[ApiServer]:
    """Stopped, and its folder removed, however the block is left."""
    try:
        _tool("up", folder)
        yield ApiServer(folder)
    finally:
        _tool("down", folder)


async def install_crds(server: ApiServer) -> None:
    async with connected(server.kubeconfig) as client:
        for definition in definitions():
            await client.apply(definition)
        for definition in definitions():
            key = ObjectKey("CustomResourceDefinition", "", definition["metadata"]["name"])

            async def established(key: ObjectKey = key) -> bool:
                status = (await client.get(key)).get("status", {})
                # A definition that is a moment old has conditions that are null.
                conditions = status.get("conditions") or ()
                return any(one["type"] == "Established" and one["status"] == "True" for one in conditions)

            await eventually(established)


def edge_route(namespace: str, name: str, *, host: str = "a.example", **metadata: Any) -> dict[str, Any]:
    """An EdgeRoute that answers by itself."""
    rules = [{"name": "all", "respond": {"status": 200, "body": name}}]
    return {
        "apiVersion": API_VERSION,
        "kind": "EdgeRoute",
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": {"hostnames": [host], "rules": rules},
    }


def kubeconfig(path: Path, server: str, **user: str) -> Path:
    """A file that names one server and one way to log in, which may be none."""
    path.write_text(f"""
apiVersion: v1
kind: Config
current-context: it
clusters: [{{name: it, cluster: {{server: "{server}", insecure-skip-tls-verify: true}}}}]
users: [{{name: it, user: {{{", ".join(f'{key}: "{value}"' for key, value in user.items())}}}}}]
contexts: [{{name: it, context: {{cluster: it, user: it}}}}]
""")
    return path


def key_of(raw: Mapping[str, Any]) -> ObjectKey:
    return ObjectKey(raw["kind"], raw["metadata"]["namespace"], raw["metadata"]["name"])


def _tool(name: str, folder: Path) -> None:
    done = subprocess.run([TOOLS / name, "--apiserver-only", folder], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
