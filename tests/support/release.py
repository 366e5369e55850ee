"""Edgerun in a cluster, installed by its chart as users do it, and what must be gone when it is uninstalled.

The definitions of the custom resources go with the release (crds.keep=false), and with them all custom resources. So
there is one release at a time.
Trap: these functions block. A test that counts requests meanwhile calls them by way of asyncio.to_thread.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.cluster import Address, reached, tool
from support.poll import eventually_sync

CHART = Path(__file__).parents[2] / "charts" / "edgerun"
NAME = "edgerun"
NAMESPACE = "edgerun-system"
READY_WITHIN_S = 120
GONE_WITHIN_S = 60
OWN = ("app.kubernetes.io/instance=edgerun", "app.kubernetes.io/managed-by=edgerun")
OF_EVERY_NAMESPACE = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


@dataclass(frozen=True, slots=True)
class Release:
    kubeconfig: Path

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """kubectl in the namespace of the release."""
        return tool("kubectl", "--namespace", NAMESPACE, *arguments, stdin=stdin)

    def helm(self, *arguments: str) -> str:
        return tool("helm", "--namespace", NAMESPACE, *arguments)

    def upgrade(self, values: Mapping[str, str]) -> None:
        """Installs it, or changes the values of what is installed, and waits until all of it is ready."""
        options = ["--create-namespace", "--wait", f"--timeout={READY_WITHIN_S}s", "--reset-then-reuse-values"]
        self.helm("upgrade", "--install", NAME, str(CHART), *options, *(f"--set={key}={values[key]}" for key in values))

    @contextmanager
    def edge(self, fleet: str = "default") -> Iterator[Address]:
        """Where clients reach the fleet, once one of its pods is ready."""
        eventually_sync(lambda: self.kubectl("get", "deployment", f"edge-{fleet}"), within_s=READY_WITHIN_S)
        self.kubectl("wait", f"deployment/edge-{fleet}", "--for=condition=Available", f"--timeout={READY_WITHIN_S}s")
        with reached(self.kubeconfig, NAMESPACE, f"edge-{fleet}") as address:
            yield address


@contextmanager
def installed(kubeconfig: Path, image: str, values: Mapping[str, str] | None = None) -> Iterator[Release]:
    """The chart with the image and the values, ready; uninstalled when the block is left, and nothing of it is left."""
    repository, _, tag = image.rpartition(":")
    chosen = {"image.repository": repository, "image.tag": tag, "image.pullPolicy": "Never", "crds.keep": "false"}
    release = Release(kubeconfig)
    try:
        release.upgrade({**chosen, **(values or {})})
        yield release
    finally:
        release.helm("uninstall", NAME, "--ignore-not-found", "--wait", f"--timeout={READY_WITHIN_S}s")
        try:
            eventually_sync(lambda: not leftovers(), within_s=GONE_WITHIN_S, step_s=1, what=f"{leftovers()} are gone")
        finally:
            tool("kubectl", "delete", "namespace", NAMESPACE, "--ignore-not-found")


def leftovers() -> set[str]:
    """What there is in the namespace of the release, and of the release and its operator elsewhere."""
    everywhere = {one for label in OWN for one in _found("--all-namespaces", f"--selector={label}")}
    return everywhere | _found(f"--namespace={NAMESPACE}") - OF_EVERY_NAMESPACE


def _found(*where: str) -> set[str]:
    namespaced = where[0].startswith("--namespace=")
    kinds = tool("kubectl", "api-resources", "--verbs=list", "--output=name", *(["--namespaced"] if namespaced else []))
    asked = ",".join(kind for kind in kinds.split() if not kind.startswith("events"))
    return set(tool("kubectl", "get", asked, "--output=name", "--ignore-not-found", *where).split())
