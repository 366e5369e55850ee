"""Which `edgerun local` is meant by a folder."""

from pathlib import Path

from ..errors import NotRunningError, SettingsError
from ..infra.local import instance


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
