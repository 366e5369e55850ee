"""The namespaces that a whole cluster lives in: processes, mounts and the network of their own.

The kernel then does the tidying: when the init ends, all processes, containers, mounts and packet filter rules of the
cluster end with it, also after a crash. A folder, control groups and a network device are left for `cluster.py`.
Trap: a program is started by nsenter, which waits for it outside. Killing that one is not killing the program.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tools.cluster import needs, places
from tools.cluster.processes import Identity, Register
from tools.cluster.progress import within

INIT = "init"
READY_WITHIN_S = 10
CGROUPS = Path("/sys/fs/cgroup")
CGROUPS_GONE_WITHIN_S = 10


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Starts programs in the namespaces of the init."""

    init: Identity

    def inside(self, command: Sequence[str]) -> list[str]:
        return [*self._enter("--pid", "--mount", "--net"), *command]

    def network_inside(self, command: Sequence[str]) -> list[str]:
        return [*self._enter("--net"), *command]

    def _enter(self, *namespaces: str) -> list[str]:
        return ["nsenter", "--target", str(self.init.pid), *namespaces, "--"]


def open_sandbox(register: Register) -> Sandbox:
    """Makes the namespaces and their first process, which is remembered like any other."""
    setup = [str(Path(__file__).with_name("sandbox.sh")), str(places.program("pause")), str(register.pids / INIT)]
    register.start("unshare", ["unshare", "--pid", "--mount", "--net", "--fork", *setup], path=needs.PATH, log=INIT)
    register.wait(READY_WITHIN_S, "namespaces of the cluster", (register.pids / INIT).exists)
    return Sandbox(register.known()[INIT])


def make_cgroups(name: str) -> None:
    """Makes the control group that holds all of the cluster's pods, in every hierarchy that there is."""
    for hierarchy in _hierarchies():
        made = hierarchy / name
        made.mkdir(exist_ok=True)
        # A new group of version 1 may use no processor and no memory until it is told.
        for setting in ("cpuset.cpus", "cpuset.mems"):
            if hierarchy != CGROUPS and (made / setting).exists():
                (made / setting).write_text((hierarchy / setting).read_text())


def remove_cgroups(name: str) -> None:
    """Removes the cluster's control groups, in every hierarchy of version 1 or the one of version 2."""

    def gone() -> bool:
        return all(_removed(top) for top in [hierarchy / name for hierarchy in _hierarchies()])

    within(CGROUPS_GONE_WITHIN_S, f"the end of the control groups {name}", gone)


def _hierarchies() -> list[Path]:
    """Version 2 has one; version 1 has a folder for each kind of resource."""
    if (CGROUPS / "cgroup.controllers").exists():
        return [CGROUPS]
    return sorted(path.parent for path in CGROUPS.glob("*/cgroup.procs") if not path.parent.is_symlink())


def _removed(top: Path) -> bool:
    # The kernel lets a group go a moment after its last process.
    for folder, _, _ in os.walk(top, topdown=False):
        try:
            os.rmdir(folder)
        except FileNotFoundError:
            continue
        except OSError:
            return False
    return True
