"""Which `edgerun local` is meant by a folder, and what it answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ..errors import NoClusterError, NotRunningError, SettingsError
from ..infra.local import control, instance

ANSWER_WITHIN_S = 20.0


def one(directory: Path) -> instance.Instance:
    """Raises NotRunningError when nothing serves that folder, SettingsError when it is not clear what does."""
    found = instance.instances(directory.resolve())
    if not found:
        raise nothing_runs(directory)
    if len(found) > 1:
        pids = ", ".join(str(one.pid) for one in found)
        raise SettingsError(
            f"{len(found)} instances serve {directory} (pids {pids}), each with a state of its own; end all but one"
        )
    return found[0]


def nothing_runs(directory: Path | None) -> NotRunningError:
    """What is to be done about it, and what runs elsewhere."""
    others = _running()
    if directory is None or directory.is_dir():
        where = f" on {directory}" if directory else ""
        elsewhere = f" (running: {others})" if others else ""
        start = f"start one with: edgerun local {directory or 'DIR'}"
        return NotRunningError(f"no `edgerun local` is running{where}; {start}{elsewhere}")
    there = f"running: {others}" if others else "none is running elsewhere"
    return NotRunningError(f"no `edgerun local` is running on {directory}, which is no folder; {there}")


@contextmanager
def without_cluster() -> Iterator[None]:
    """To whoever has none, a running instance is offered. Raises NoClusterError."""
    try:
        yield
    except NoClusterError as error:
        others = _running()
        way = f"--directory DIR (running: {others})" if others else "--directory DIR"
        raise NoClusterError(f"{error}; for a running `edgerun local` give {way}") from error


def _running() -> str:
    return ", ".join(dict.fromkeys(str(one.dir) for one in instance.instances(None)))


async def answer(running: instance.Instance, *words: str) -> bytes:
    """What it says to these words. Raises NotRunningError when it says nothing."""
    try:
        return await control.fetch(running.control_socket, ANSWER_WITHIN_S, " ".join(words))
    except (OSError, TimeoutError) as error:
        late = f"nothing came within {ANSWER_WITHIN_S:g} s"  # what a TimeoutError has no words for
        said = f"the instance on {running.dir} (pid {running.pid}) does not answer: {str(error) or late}"
        raise NotRunningError(said) from error
