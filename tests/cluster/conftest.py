"""A cluster for the tests, kubectl to talk to it, and Edgerun in it.

`cluster` is whatever `make cluster` gives: the one that runs, or else one that it starts; it is left running. Tests of
how clusters come and go make their own, in folders of their own.
Trap: nothing can be loaded into a cluster that KUBECONFIG names, so the tests that need images are skipped there.
"""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.cluster import TOOLS, is_ours, told, tool
from support.namespaces import namespace
from support.release import Release, installed

PROBE = "edgerun.dev/probe:1"
IMAGE = "edgerun.dev/edgerun:dev"

Kubectl = Callable[..., str]


@pytest.fixture(scope="session")
def cluster() -> Path:
    """The kubeconfig of a cluster that runs."""
    return Path(tool("up").strip())


@pytest.fixture
def own_cluster(cluster: Path) -> None:
    """Skips the test on a cluster whose version, network and DNS are not of our choice."""
    if not is_ours(cluster):
        pytest.skip("holds for the cluster of tools/cluster only")


@pytest.fixture(scope="session")
def loadable(cluster: Path) -> None:
    """Skips the test on a cluster that no image can be loaded into."""
    if os.environ.get("KUBECONFIG", str(cluster)) != str(cluster):
        pytest.skip("KUBECONFIG names a cluster that no image can be loaded into")


@pytest.fixture(scope="session")
def probe(loadable: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The image of the program in probe/, loaded into the cluster."""
    folder = tmp_path_factory.mktemp("probe")
    build = ["go", "build", "-trimpath", "-o", str(folder / "probe"), "."]
    source = Path(__file__).with_name("probe")
    subprocess.run(build, cwd=source, check=True, env={**os.environ, "CGO_ENABLED": "0"})
    tool("image", PROBE, folder / "probe", folder / "probe.tar")
    tool("load", folder / "probe.tar")
    return PROBE


@pytest.fixture(scope="session")
def archive() -> Path:
    """The archive of Edgerun's image, of what this checkout holds."""
    return Path(told(TOOLS / "image" / "build").strip())


@pytest.fixture(scope="session")
def image(loadable: None, archive: Path) -> str:
    """Edgerun's image, loaded into the cluster."""
    tool("load", archive)
    return IMAGE


@pytest.fixture(scope="module")
def release(cluster: Path, image: str) -> Iterator[Release]:
    """Edgerun, installed with the values that users get. After the last test of a module nothing of it may be left.

    Not longer: its operator would take away what other modules make in the place of an operator.
    """
    with installed(cluster, image) as release:
        yield release


@pytest.fixture
def kubectl(cluster: Path) -> Iterator[Kubectl]:
    """kubectl in a namespace of the test's own, under the strictest rules for pods."""
    with namespace() as kubectl:
        yield kubectl
