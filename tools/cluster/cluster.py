"""The life of a cluster: up, down, and what is left of one that died.

`up` on a cluster that runs changes nothing; on one that is half there it starts anew. `down` removes every trace.
Owns no part of the cluster; start.py does.
Trap: after kill -9 there still are a network device and control groups, and neither goes by itself soon enough for a
new start: `_clear` comes before every start, not only in `down`.
"""

import contextlib
import os
import shutil
from pathlib import Path

from tools.cluster import needs, places, start
from tools.cluster.network import Cable, any_device
from tools.cluster.places import Folder
from tools.cluster.progress import ClusterError, say, step
from tools.cluster.sandbox import remove_cgroups
from tools.cluster.start import cgroup_of, kubectl_succeeds, register_of


def up(folder: Folder, *, api_server_only: bool) -> None:
    """Makes sure that the cluster runs."""
    if not api_server_only:
        needs.require_root()
    with folder.locked():
        folder.claim()
        if runs(folder):
            say("the cluster runs already")
            return
        _clear(folder)
        folder.claim()
        start.prepare(api_server_only=api_server_only)
        try:
            with step("all"):
                start.api_server_alone(folder) if api_server_only else start.whole(folder)
        except BaseException:
            # The logs stay, for whoever wants to know why.
            register_of(folder).end()
            say(f"stopped again; the logs are in {folder.root / 'logs'}")
            raise


def down(folder: Folder) -> None:
    """Makes sure that nothing of the cluster is left."""
    if not folder.root.exists():
        say("no cluster runs")
        return
    with folder.locked(), step("stopped"):
        if not folder.ours and any(folder.root.iterdir()):
            raise ClusterError(f"{folder.root} is no folder of a cluster")
        _clear(folder)
        folder.root.rmdir()


def runs(folder: Folder) -> bool:
    known = register_of(folder).known().values()
    answers = ("get", "--raw", "/readyz")
    return bool(known) and all(one.alive for one in known) and kubectl_succeeds(folder.kubeconfig, *answers)


def _clear(folder: Folder) -> None:
    """Ends what lives and empties the folder, which itself stays: it carries the lock."""
    register_of(folder).end()
    with contextlib.suppress(FileNotFoundError):
        Cable.parse((folder.root / start.CABLE).read_text()).remove()
    remove_cgroups(cgroup_of(folder))
    _remove_mount_points()
    for path in folder.root.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()


def _remove_mount_points() -> None:
    """Removes what sandbox.sh made to mount on, unless another cluster uses it or it holds something."""
    for folder in ("/var/lib/kubelet", "/var/lib/cni"):
        if not any_device():
            with contextlib.suppress(OSError):
                os.rmdir(folder)


def loaded(folder: Folder, archives: list[Path]) -> None:
    for archive in archives:
        if not archive.exists():
            raise ClusterError(f"{archive} does not exist")
        with step(f"{archive.name} loaded"):
            start.load_images(folder, [archive])


def environment(kubeconfig: Path) -> dict[str, str]:
    """What kubectl and Helm need: the cluster, and no proxy on the way to it."""
    direct = ",".join(filter(None, [os.environ.get("NO_PROXY"), "127.0.0.0/8", "198.18.0.0/15"]))
    added = {"KUBECONFIG": str(kubeconfig), "NO_PROXY": direct, "no_proxy": direct}
    return {**os.environ, **added, "PATH": f"{places.program('kubectl').parent}:{os.environ.get('PATH', '')}"}
