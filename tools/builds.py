"""What the tests marked apiserver and cluster need and a machine may not have, and its building beside other work.

The builds take minutes the first time and seconds later. They get only the time of the processors that nobody else
wants, and end with whoever started them, also when that is killed.
Trap: which of them are possible depends on the machine. What is impossible is told, and is no failure.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from tools.cluster import elsewhere, needs, places
from tools.cluster.places import Folder
from tools.cluster.progress import ClusterError

PROGRAMS, IMAGE = "tools/cluster/build", "tools/image/build"
ALIVE_S = 60
BESIDE = ("setpriv", "--pdeathsig", "TERM", "nice", "-n", "19")


@dataclass(frozen=True, slots=True)
class Build:
    name: str
    process: subprocess.Popen[bytes]

    def succeeds(self) -> bool:
        """Waits for its end, with a sign of life every minute."""
        started = time.monotonic()
        while True:
            try:
                return self.process.wait(timeout=ALIVE_S) == 0
            except subprocess.TimeoutExpired:
                print(f"{time.monotonic() - started:5.0f} s  waiting for {self.name}", file=sys.stderr, flush=True)


def why_no_api_server() -> str:
    """Empty when there can be one."""
    try:
        needs.require_go()
        needs.require(needs.FOR_API_SERVER)
    except ClusterError as error:
        return str(error)
    return ""


def why_no_cluster() -> str:
    """Empty when there can be one, or is one."""
    if _is_root() or elsewhere.users_kubeconfig(Folder(places.usual_folder("cluster").resolve())):
        return ""
    return "" if elsewhere.kind_at_hand() else "they take root, or kind and a running Docker, or KUBECONFIG"


@contextmanager
def started() -> Iterator[Sequence[Build]]:
    """The builds that are possible here. Leaving the block ends those that still run."""
    possible = [PROGRAMS, *([IMAGE] if _is_root() or elsewhere.engine_runs() else [])]
    builds = [Build(name, subprocess.Popen([*BESIDE, name], stdin=subprocess.DEVNULL)) for name in possible]
    try:
        yield builds
    finally:
        for build in builds:
            build.process.terminate()
            build.process.wait()


def _is_root() -> bool:
    return os.geteuid() == 0
