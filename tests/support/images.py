"""Images on the node of a cluster of our own making."""

import shutil
from pathlib import Path

from support.cluster import told


def also_called(kubeconfig: Path, image: str, tag: str) -> None:
    """The image, which is there, has this tag beside the one that it has."""
    repository, program = image.rpartition(":")[0], shutil.which("ctr")
    assert program, "the cluster was started by this"
    node = (f"--address={kubeconfig.with_name('containerd.sock')}", "--namespace=k8s.io")
    told(Path(program), *node, "images", "tag", "--force", image, f"{repository}:{tag}")
