"""What the image is made of, as far as it can be told without building one. tests/cluster/test_image.py runs it."""

import json
import re
import tarfile
import tomllib
from pathlib import Path

import pytest
from tools.cluster.images import add
from tools.image.archives import write_joined
from tools.image.inputs import COPIED, OF_EXAMPLES, RULES, copy_to, key

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
    for folder, names in ((ROOT, COPIED), (ROOT / "examples", OF_EXAMPLES)):
        lines = re.findall(r"^COPY (?!--from)(.+) \S+$", (folder / "Dockerfile").read_text(), re.MULTILINE)
        let_through = re.findall(r"^!(.+)$", (folder / ".dockerignore").read_text(), re.MULTILINE)
        assert sorted(name for line in lines for name in line.split()) == sorted(names)
        assert sorted(let_through) == sorted(names)
        assert all((folder / name).exists() for name in names)
    assert all((ROOT / name).exists() for name in RULES)


def test_every_file_and_the_way_it_is_built_decide_about_the_key(tmp_path: Path) -> None:
    copy_to(tmp_path)
    first = key(tmp_path, "docker")
    assert first == key(tmp_path, "docker")
    assert first != key(tmp_path, "buildah", "base")
    with (tmp_path / "crds" / "edgeroutes.yaml").open("a") as definition:
        definition.write("# edited\n")
    assert first != key(tmp_path, "docker")


def test_an_archive_of_several_images_holds_what_they_share_once(tmp_path: Path) -> None:
    layers = {"one": b"same", "two": b"same", "three": b"other"}
    for name, layer in layers.items():
        _write(tmp_path / f"{name}.tar", name, layer)
    write_joined(tmp_path / "all.tar", [tmp_path / f"{name}.tar" for name in layers])
    with tarfile.open(tmp_path / "all.tar") as joined:
        names = joined.getnames()
        content = joined.extractfile("manifest.json")
        assert content
        images = json.loads(content.read())
    assert [image["RepoTags"] for image in images] == [["one"], ["two"], ["three"]]
    assert sorted(names) == sorted({"manifest.json", *(image["Config"] for image in images), "same.tar", "other.tar"})


def _write(archive: Path, name: str, layer: bytes) -> None:
    """An archive as buildah writes it: everything is called after what is in it."""
    config, blob = f"{name}.json", f"{layer.decode()}.tar"
    manifest = json.dumps([{"Config": config, "RepoTags": [name], "Layers": [blob]}]).encode()
    with tarfile.open(archive, "w") as tar:
        for file, content in ((config, name.encode()), (blob, layer), ("manifest.json", manifest)):
            add(tar, file, content)
