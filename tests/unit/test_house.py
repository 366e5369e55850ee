"""What holds the house together and no other check would notice."""

import re
import tomllib
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).parents[2]
PINNED = re.compile(r"^([A-Za-z0-9._-]+)==\S+", re.MULTILINE)


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_every_dependency_is_pinned_with_a_hash() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    about, groups = project["project"], project["dependency-groups"]
    wanted = [*about["dependencies"], *chain(*about["optional-dependencies"].values()), *groups["dev"]]
    names = {normal(re.split(r"[<>=~!; \[]", requirement)[0]) for requirement in wanted}
    text = (ROOT / "requirements.txt").read_text()
    pinned = {normal(found[1]): text[found.start() :].split("\n", 2)[1] for found in PINNED.finditer(text)}
    assert not names - set(pinned), "make lock"
    assert all(line.strip().startswith("--hash=sha256:") for line in pinned.values())


def test_the_folder_operator_is_no_package() -> None:
    assert not (ROOT / "operator" / "__init__.py").exists(), "it would shadow the operator module of Python"
