"""The runtime directory of one instance of the standalone mode, and the list of instances that live.

A directory `<hash of DIR>-<pid>` below `$XDG_RUNTIME_DIR/edgerun` or `/tmp/edgerun-<uid>` holds the sockets and a note
of who made it. Only its user can enter it: whoever can open the sockets steers the edge.

Trap: the path of a Unix socket has at most 107 bytes on Linux and 103 on macOS; that is why names here are short, and
why a long XDG_RUNTIME_DIR is passed over.
"""

import os
import stat
import uuid
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import msgspec

from ...errors import RuntimeDirectoryError
from . import keeper

MAX_SOCKET_PATH = 100
LONGEST_NAME = "control.sock"
NOTE = "instance.json"


@dataclass(frozen=True, slots=True)
class Instance:
    """One running `edgerun local`. `dir` is what it serves, `directory` where its sockets are."""

    id: str
    dir: Path
    directory: Path
    pid: int
    started: str  # the kernel's start time of `pid`: tells it from a later process of the same number

    @property
    def xds_socket(self) -> Path:
        return self.directory / "xds.sock"

    @property
    def admin_socket(self) -> Path:
        return self.directory / "admin.sock"

    @property
    def control_socket(self) -> Path:
        return self.directory / "control.sock"

    @property
    def alive(self) -> bool:
        return _start_time(self.pid) == self.started


def create(dir: Path, *, environ: Mapping[str, str] = os.environ) -> Instance:
    """Makes the runtime directory of this process for `dir`, after clearing away what dead instances left."""
    instances(None, environ=environ)
    pid, root = os.getpid(), dir.absolute()
    directory = _base(environ) / f"{_digest(root)}-{pid}"
    instance = Instance(uuid.uuid4().hex, root, directory, pid, _start_time(pid))
    directory.mkdir(mode=0o700)
    (directory / keeper.ID_FILE).write_text(instance.id)
    draft = directory / (NOTE + ".new")
    draft.write_bytes(msgspec.json.encode({"id": instance.id, "dir": str(root), "started": instance.started}))
    draft.rename(directory / NOTE)
    return instance


def instances(dir: Path | None, *, environ: Mapping[str, str] = os.environ) -> tuple[Instance, ...]:
    """The instances of this user that live, those of `dir` or all, the same order every time.

    What is left of a dead one, if its keeper died as well, is ended and removed.
    """
    found = [instance for base in _bases(environ) for instance in _noted(base)]
    for instance in found:
        if not instance.alive:
            keeper.kill_all([f"{keeper.MARK}={instance.id}"], ())
            keeper.remove(str(instance.directory), instance.id)
    return tuple(
        sorted(
            (one for one in found if one.alive and (dir is None or one.dir == dir.absolute())),
            key=lambda one: (one.dir, one.pid),
        )
    )


def _noted(base: Path) -> Iterator[Instance]:
    """The instances that `base` tells of; a directory without a note is being made, or being removed."""
    if not _private(base):
        return
    for directory in sorted(base.iterdir()):
        _, _, pid = directory.name.rpartition("-")
        try:
            note = msgspec.json.decode((directory / NOTE).read_bytes(), type=dict[str, str])
            yield Instance(note["id"], Path(note["dir"]), directory, int(pid), note["started"])
        except (OSError, ValueError, KeyError):
            continue


def _base(environ: Mapping[str, str]) -> Path:
    """The first candidate that is short enough, made if it is not there. Raises when it is not ours alone."""
    room = MAX_SOCKET_PATH - len(f"/{'0' * 16}-{2**22}/{LONGEST_NAME}")
    base = next(base for base in _bases(environ) if len(os.fsencode(base)) < room)
    with suppress(FileExistsError):
        base.mkdir(mode=0o700)
    if not _private(base):
        raise RuntimeDirectoryError(
            f"{base} is not a directory that only user {os.getuid()} can enter; remove it or set XDG_RUNTIME_DIR"
        )
    return base


def _bases(environ: Mapping[str, str]) -> tuple[Path, ...]:
    shared = Path(os.path.realpath("/tmp")) / f"edgerun-{os.getuid()}"  # noqa: S108 - _private checks it
    own = environ.get("XDG_RUNTIME_DIR", "")
    if not (own.startswith("/") and os.path.isdir(own)):
        return (shared,)
    return (Path(os.path.realpath(own)) / "edgerun", shared)


def _private(base: Path) -> bool:
    try:
        status = base.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077


def _digest(dir: Path) -> str:
    return blake2b(os.fsencode(dir), digest_size=8).hexdigest()


def _start_time(pid: int) -> str:
    """Ticks since boot at which `pid` started; "?" where the kernel does not say; "" when it is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        return "?"
    try:
        after_name = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()
    except FileNotFoundError:
        return "?"
    return "" if after_name[0] == b"Z" else after_name[19].decode()
