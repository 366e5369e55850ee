"""A cluster for the tests, and kubectl to talk to it.

`cluster` is whatever `make cluster` gives: the one that runs, or else one that it starts; it is left running. Tests of
how clusters come and go make their own, in folders of their own.
Trap: nothing can be loaded into a cluster that KUBECONFIG names, so the tests that need images are skipped there.
"""

import os
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

TOOLS = Path(__file__).parents[2] / "tools" / "cluster"
PROBE = "edgerun.dev/probe:1"
RESTRICTED = "pod-security.kubernetes.io/enforce=restricted"

Kubectl = Callable[..., str]


def tool(name: str, *arguments: str | Path, **environment: str) -> str:
    """Runs a command of tools/cluster and gives its stdout. Fails the test with all that it said."""
    command = [str(TOOLS / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment})
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="session")
def cluster() -> Path:
    """The kubeconfig of a cluster that runs."""
    return Path(tool("up").strip())


@pytest.fixture
def own_cluster(cluster: Path) -> None:
    """Skips the test on a cluster whose version, network and DNS are not of our choice."""
    if not (cluster.parent / "edgerun-cluster").exists():
        pytest.skip("holds for the cluster of tools/cluster only")


@pytest.fixture(scope="session")
def probe(cluster: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of the program in probe/, loaded into the cluster."""
    folder = tmp_path_factory.mktemp("probe")
    build = ["go", "build", "-trimpath", "-o", str(folder / "probe"), "."]
    source = Path(__file__).with_name("probe")
    subprocess.run(build, cwd=source, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    tool("image", PROBE, folder / "probe", folder / "probe.tar")
    if os.environ.get("KUBECONFIG", str(cluster)) != str(cluster):
        pytest.skip("KUBECONFIG names a cluster that no image can be loaded into")
    tool("load", folder / "probe.tar")
    return PROBE


@pytest.fixture
def kubectl(cluster: Path) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own, under the strictest rules for pods."""
    namespace = f"test-{uuid.uuid4().hex[:8]}"
    tool("kubectl", "create", "namespace", namespace)
    tool("kubectl", "label", "namespace", namespace, RESTRICTED)
    yield lambda *arguments: tool("kubectl", "--namespace", namespace, *arguments)
    tool("kubectl", "delete", "namespace", namespace, "--wait=false")
