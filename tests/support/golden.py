"""Golden files: what comes out, as YAML that people review."""

from pathlib import Path

import yaml


def check(path: Path, data: object, *, update: bool) -> None:
    text = yaml.safe_dump(data, sort_keys=False, width=120, allow_unicode=True)
    if update:
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; pytest --update-golden, then review the diff"


def cases(folder: Path) -> list[str]:
    return sorted(path.name.removesuffix(".in.yaml") for path in folder.glob("*.in.yaml"))
