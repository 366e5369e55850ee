"""The process that outlives an instance for a moment, so that nothing else does.

Started as a script with `python -I -S`, it imports nothing but four modules of the standard library and knows nothing
of the rest of the package. Its standard input is a pipe from the instance: a line `+123` names a process group of the
instance, `-123` forgets it, and the end of the file means that the instance is gone, however it went.

Trap: an environment is read as it was at exec. A program that overwrites it is found by its group, its session or its
parent; one that has left all four behind is not found.
"""

import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import NamedTuple

MARK = "EDGERUN_INSTANCE"  # in the environment of every process of an instance
ID_FILE = "id"  # in the runtime directory, holds the instance's id: proof that the directory is ours
PROC = "/proc"
GRACE_S = 2.0
PATIENCE_S = 10.0  # after SIGKILL only the kernel can hold a process, in uninterruptible sleep
POLL_S = 0.02


class Relations(NamedTuple):
    """Where a process stands."""

    parent: int
    group: int
    session: int


def kill_all(marks: Iterable[str], groups: Iterable[int], *, grace_s: float = GRACE_S) -> bool:
    """Ends every process that belongs to `groups` or carries one of `marks` (`NAME=value`). True when none is left.

    SIGTERM first, SIGKILL after `grace_s`. Those that appear meanwhile get the same.
    """
    wanted, chosen = frozenset(mark.encode() for mark in marks), frozenset(group for group in groups if group > 1)
    told: set[int] = set()
    deadline = time.monotonic() + grace_s
    while alive := belonging(wanted, chosen):
        now = time.monotonic()
        if now > deadline + PATIENCE_S:
            return False
        if now >= deadline:
            _signal(alive, signal.SIGKILL)
        else:
            _signal(alive - told, signal.SIGTERM)
            told |= alive
        time.sleep(POLL_S)
    return True


def belonging(marks: frozenset[bytes], groups: frozenset[int]) -> set[int]:
    """The processes alive that belong to `groups` or carry one of `marks`, and all their descendants.

    Where there is no /proc, the process groups as negative numbers, as kill(2) takes them.
    """
    if not os.path.isdir(PROC + "/self"):
        return {-group for group in groups if _group_lives(group)}
    processes = _processes()
    members = {
        pid
        for pid, stands in processes.items()
        if stands.group in groups or stands.session in groups or (marks and not marks.isdisjoint(_environment(pid)))
    }
    return _with_descendants(members, processes) - {os.getpid()}


def _processes() -> dict[int, Relations]:
    return {
        pid: relations
        for name in os.listdir(PROC)
        if name.isdigit() and (relations := _relations(pid := int(name))) is not None
    }


def _relations(pid: int) -> Relations | None:
    """None for a process that is gone or a zombie."""
    try:
        with open(f"{PROC}/{pid}/stat", "rb") as file:
            fields = file.read().rpartition(b")")[2].split()  # the name before it may hold anything
    except OSError:
        return None
    if len(fields) < 4 or fields[0] in (b"Z", b"X"):
        return None
    return Relations(*map(int, fields[1:4]))


def _environment(pid: int) -> list[bytes]:
    try:
        with open(f"{PROC}/{pid}/environ", "rb") as file:
            return file.read().split(b"\0")
    except OSError:
        return []


def _with_descendants(members: set[int], processes: dict[int, Relations]) -> set[int]:
    found, fresh = set(members), set(members)
    while fresh:
        fresh = {pid for pid, stands in processes.items() if stands.parent in fresh and pid not in found}
        found |= fresh
    return found


def _group_lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except OSError:
        return False
    return True


def _signal(targets: Iterable[int], number: signal.Signals) -> None:
    for target in targets:
        try:
            os.kill(target, number)
        except OSError:
            continue  # gone meanwhile, or never ours to end


def remove(directory: str, instance_id: str) -> bool:
    """Removes the runtime directory of an instance; refuses any other directory, and whatever is not flat."""
    try:
        with open(os.path.join(directory, ID_FILE)) as file:
            ours = file.read() == instance_id
        status = os.lstat(directory)
        if not ours or status.st_uid != os.getuid() or os.path.realpath(directory) != directory:
            return False
        names = sorted(os.listdir(directory), key=lambda name: name == ID_FILE)  # the proof goes last
        for name in names:
            os.unlink(os.path.join(directory, name))
        os.rmdir(directory)
    except OSError:
        return False
    return True


def _groups_until_eof(fd: int) -> set[int]:
    groups: set[int] = set()
    rest = b""
    while chunk := os.read(fd, 65536):
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            change = groups.add if line[:1] == b"+" else groups.discard
            change(int(line[1:]))
    return groups


def main(instance_id: str, directory: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    groups = _groups_until_eof(0)
    marks = [f"{MARK}={instance_id}"]
    kill_all(marks, groups)
    time.sleep(0.1)  # a child that was between fork and exec a moment ago carries its mark now
    kill_all(marks, groups, grace_s=0)
    remove(directory, instance_id)


if __name__ == "__main__":
    main(*sys.argv[1:])
