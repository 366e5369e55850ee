"""What the image is made of, as far as it can be told without building one. tests/cluster/test_image.py runs it."""

import re
import tomllib
from pathlib import Path

import pytest
from tools.image.inputs import COPIED, RULES, key

ROOT = Path(__file__).parents[2]
LISTS = ("tools/image/requirements.txt", "tools/image/requirements-build.txt")
PINNED = re.compile(r"^(?P<name>[a-z0-9][^\s=]*)==(?P<rest>.*\n(?:    --hash=.*\n)+)", re.MULTILINE)


def pinned(file: str) -> dict[str, str]:
    """The version and the hashes of each distribution."""
    text = (ROOT / file).read_text()
    return {found["name"]: found["rest"].replace(" \\", "") for found in PINNED.finditer(text)}


@pytest.mark.parametrize("file", LISTS)
def test_the_image_gets_the_versions_that_the_tests_run_with(file: str) -> None:
    assert pinned(file).items() <= pinned("requirements.txt").items(), "make lock"


def test_the_image_gets_every_dependency_and_no_tool() -> None:
    about = tomllib.loads((ROOT / "pyproject.toml").read_text())
    project = about["project"]
    wanted = {
        re.split(r"[<>=~!; \[]", one)[0]
        for one in project["dependencies"] + project["optional-dependencies"]["cluster"]
    }
    tools = {re.split(r"[<>=~!; \[]", one)[0] for one in about["dependency-groups"]["dev"]}
    names = set(pinned(LISTS[0]))
    assert wanted <= names, "make lock"
    assert not (tools - wanted) & names


def test_what_the_dockerfile_copies_is_let_through_and_decides_whether_the_image_is_built_anew() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    lines = re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile, re.MULTILINE)
    let_through = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert sorted(name for line in lines for name in line.split()) == sorted(COPIED)
    assert sorted(let_through) == sorted(COPIED)
    assert all((ROOT / name).exists() for name in (*COPIED, *RULES))


def test_the_same_files_built_in_the_same_way_have_the_same_key() -> None:
    assert key("docker") == key("docker")
    assert key("docker") != key("buildah", "base")
