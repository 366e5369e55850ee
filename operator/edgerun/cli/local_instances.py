"""Which `edgerun local` is meant by a folder, and what it answers."""

from pathlib import Path

from ..errors import NotRunningError, SettingsError
from ..infra.local import control, instance

ANSWER_WITHIN_S = 5.0


def one(directory: Path) -> instance.Instance:
    """Raises NotRunningError when nothing serves that folder, SettingsError when it is not clear what does."""
    found = instance.instances(directory.resolve())
    if not found:
        raise NotRunningError(
            f"no `edgerun local` is running on {directory}; start one with: edgerun local {directory}"
        )
    if len(found) > 1:
        pids = ", ".join(str(one.pid) for one in found)
        raise SettingsError(
            f"{len(found)} instances serve {directory} (pids {pids}), each with a state of its own; end all but one"
        )
    return found[0]


async def answer(running: instance.Instance, *words: str) -> bytes:
    """What it says to these words. Raises NotRunningError when it says nothing."""
    try:
        return await control.fetch(running.control_socket, ANSWER_WITHIN_S, " ".join(words))
    except (OSError, TimeoutError) as error:
        said = f"the instance on {running.dir} (pid {running.pid}) does not answer: {error}"
        raise NotRunningError(said) from error
