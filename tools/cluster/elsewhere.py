"""Clusters that are not of our making: the one that KUBECONFIG names, and one of kind where a container engine runs.

Both are preferred to building our own, unless a folder was named. A kubeconfig that we wrote does not count as the
user's, so `export KUBECONFIG=$(tools/cluster/up)` does no harm.
Trap: kind in the PATH is not enough; the docker command is often there without an engine behind it.
"""

import os
import subprocess
from pathlib import Path

from tools.cluster.needs import found
from tools.cluster.places import Folder
from tools.cluster.progress import ClusterError, run, say, step

NAME = "edgerun"
ENGINE_ANSWERS_WITHIN_S = 10


def users_kubeconfig(folder: Folder) -> Path | None:
    """What KUBECONFIG names, if it is not ours."""
    named = os.environ.get("KUBECONFIG")
    if not named or Path(named).resolve() == folder.kubeconfig:
        return None
    return Path(named)


def kind_at_hand() -> bool:
    return bool(found("kind") and found("docker") and engine_runs())


def kind_up(folder: Folder) -> None:
    folder.claim()
    if _kind_runs():
        say("the kind cluster runs already")
        run("kind", "export", "kubeconfig", f"--name={NAME}", f"--kubeconfig={folder.kubeconfig}")
        return
    with step("kind made a cluster"):
        run("kind", "create", "cluster", f"--name={NAME}", f"--kubeconfig={folder.kubeconfig}", "--wait=120s")


def kind_down() -> None:
    if _kind_runs():
        with step("kind deleted its cluster"):
            run("kind", "delete", "cluster", f"--name={NAME}")


def kind_load(archives: list[Path]) -> None:
    for archive in archives:
        run("kind", "load", "image-archive", str(archive), f"--name={NAME}")


def refuse_to_load(kubeconfig: Path) -> None:
    raise ClusterError(f"{kubeconfig} is a cluster of yours: push the image to a registry that it pulls from")


def engine_runs() -> bool:
    asked = [found("docker") or "docker", "info"]
    try:
        return subprocess.run(asked, capture_output=True, timeout=ENGINE_ANSWERS_WITHIN_S).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def _kind_runs() -> bool:
    return NAME in run("kind", "get", "clusters").split()
