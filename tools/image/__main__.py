"""The command line of tools/image/build: makes sure that the image of this checkout is in the cache.

stdout is the path of its archive and nothing else. Archives of earlier states of the checkout stay, a few of them.
Trap: two may build at the same time; the second waits, and then mostly finds what it wants.
"""

import fcntl
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tools.cluster import elsewhere, places
from tools.cluster.progress import ClusterError, say
from tools.image import bases, engines, inputs

KEPT = 3


def main() -> int:
    # Being terminated is being interrupted: what was begun is stopped.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        print(built())
    except ClusterError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


def built() -> Path:
    """The archive of the image of this checkout."""
    cache = places.cache() / "image"
    cache.mkdir(mode=0o700, parents=True, exist_ok=True)
    docker = elsewhere.engine_runs()
    how = ("docker",) if docker else ("buildah", bases.to_run_in().key)
    # Of a copy, since somebody may edit the checkout meanwhile.
    with locked(cache), tempfile.TemporaryDirectory() as copy:
        inputs.copy_to(Path(copy))
        archive = cache / f"edgerun-{inputs.key(Path(copy), *how)}.tar"
        if not archive.exists():
            build(Path(copy), archive, docker=docker)
        os.utime(archive)
        _forget_old(cache)
    say(f"{engines.NAME}: {archive.stat().st_size // 1_000_000} MB")
    return archive


def build(context: Path, archive: Path, *, docker: bool) -> None:
    """The archive appears whole or not at all."""
    partial = archive.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    try:
        if docker:
            engines.with_docker(context, partial)
        else:
            engines.require_buildah()
            engines.with_buildah(context, partial, archive.parent)
        partial.replace(archive)
    finally:
        partial.unlink(missing_ok=True)


def _forget_old(cache: Path) -> None:
    archives = sorted(cache.glob("edgerun-*.tar"), key=lambda path: path.stat().st_mtime, reverse=True)
    for archive in archives[KEPT:]:
        archive.unlink()


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    sys.exit(main())
