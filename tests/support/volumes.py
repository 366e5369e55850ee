"""A folder as the kubelet keeps it: files are links through `..data`, which is swapped so that all change at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path

_NUMBERS = count(1)


@dataclass(frozen=True, slots=True)
class Volume:
    folder: Path

    def write(self, files: Mapping[str, str]) -> None:
        """These are in it from now on, and no others."""
        self.folder.mkdir(exist_ok=True)
        version = self.folder / f"..{next(_NUMBERS)}"
        version.mkdir()
        for name, text in files.items():
            (version / name).write_text(text)
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(Path("..data") / name)
        swap = self.folder / "..data_tmp"
        swap.symlink_to(version.name)
        swap.rename(self.folder / "..data")
