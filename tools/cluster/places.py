"""Where things lie: the cache of built programs, and the folder that one cluster keeps everything in.

Both are outside the checkout. The cache's name holds a hash of all that decides what is built, so an edit of a go.mod
builds anew and an old checkout still finds its own.
Trap: the folder of a cluster is deleted whole. `Folder.ours` guards it: a folder without our mark is never touched.
"""

import hashlib
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fcntl import LOCK_EX, flock
from pathlib import Path

from tools.cluster.progress import ClusterError

SOURCES = Path(__file__).parent / "go"
MARK = "edgerun-cluster"
# In the namespaces of the cluster something of its own lies here.
COVERED = ("/run", "/var/run", "/var/log", "/var/lib/kubelet", "/var/lib/cni", "/proc", "/sys")


def cache() -> Path:
    caches = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("EDGERUN_CACHE") or Path(caches, "edgerun"))


def release() -> Path:
    """The part of the cache that belongs to the sources of this checkout."""
    files = sorted(path for path in SOURCES.rglob("*") if path.suffix in (".mod", ".sum", ".go"))
    key = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]
    return cache() / "kubernetes" / f"{kubernetes_version()}-{key}"


def program(name: str) -> Path:
    return release() / "bin" / name


def image(name: str) -> Path:
    return release() / "images" / f"{name}.tar"


def kubernetes_version() -> str:
    found = re.search(r"k8s\.io/kubernetes (v\S+)", (SOURCES / "kubernetes" / "go.mod").read_text())
    assert found, "go.mod requires no k8s.io/kubernetes"
    return found[1]


def usual_folder(name: str) -> Path:
    states = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(states, "edgerun", name)


@dataclass(frozen=True, slots=True)
class Folder:
    """All that one cluster writes."""

    root: Path

    @property
    def ours(self) -> bool:
        return (self.root / MARK).exists()

    @property
    def kubeconfig(self) -> Path:
        return self.root / "kubeconfig"

    @property
    def containerd_socket(self) -> Path:
        return self.root / "containerd.sock"

    def part(self, name: str) -> Path:
        """A subfolder, made when it is missing."""
        made = self.root / name
        made.mkdir(mode=0o700, exist_ok=True)
        return made

    def write(self, name: str, text: str) -> Path:
        written = self.root / name
        written.write_text(text)
        return written

    def claim(self) -> None:
        """Makes the folder ours. Raises `ClusterError` when it is not empty or where the cluster would not see it."""
        if any(self.root.is_relative_to(covered) for covered in COVERED):
            raise ClusterError(f"{self.root}: the cluster needs a folder outside {', '.join(COVERED)}")
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not self.ours and any(self.root.iterdir()):
            raise ClusterError(f"{self.root} holds files that are not a cluster's; name an empty folder or a new one")
        (self.root / MARK).touch()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps others from starting or stopping the same cluster meanwhile."""
        descriptor = self._opened()
        try:
            yield
        finally:
            os.close(descriptor)

    def _opened(self) -> int:
        while True:
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor = os.open(self.root, os.O_RDONLY)
            flock(descriptor, LOCK_EX)
            # While we waited, whoever had the lock may have removed the folder: then the lock is on nothing.
            if self.root.exists() and os.path.samestat(os.fstat(descriptor), self.root.stat()):
                return descriptor
            os.close(descriptor)
