"""The table of bad objects: `crd/invalid/*.yaml`, one object per file, which says in comments what is wrong with it.

`# want: TEXT` is a part of one problem as people read it; in `FIELD: ~ TEXT` the text may stand anywhere behind the
field, for an API server and this control plane differ in what they put between the two. A file has as many problems as
it has such lines. `# only in files` marks what an API server does not say.
"""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "crd" / "invalid"
_WANT = "# want: "


@dataclass(frozen=True, slots=True)
class Case:
    path: Path
    wanted: tuple[str, ...]
    only_in_files: bool

    def __str__(self) -> str:
        return self.path.stem


def cases() -> list[Case]:
    return [_case(path) for path in sorted(FOLDER.glob("*.yaml"))]


def says(message: str, wanted: str) -> bool:
    """Whether `message` is what a `# want:` line asks for."""
    field, anywhere, text = wanted.partition(" ~ ")
    return message.startswith(field) and text in message if anywhere else wanted in message


def _case(path: Path) -> Case:
    head = [line for line in path.read_text("utf-8").splitlines() if line.startswith("#")]
    wanted = tuple(line.removeprefix(_WANT) for line in head if line.startswith(_WANT))
    return Case(path, wanted, any(line.startswith("# only in files") for line in head))
