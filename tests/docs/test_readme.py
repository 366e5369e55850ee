"""The README, run, but for the chapter that needs a cluster: tests/cluster/test_readme.py runs that one."""

import shutil
from pathlib import Path

import pytest

from support.reader import IN_A_CLUSTER, ROOT, Reader, lacking, reading

pytestmark = pytest.mark.envoy


@pytest.mark.skipif(not shutil.which("curl"), reason="the README is not run: there is no curl")
def test_all_that_the_readme_says_is_so(tmp_path: Path) -> None:
    with reading(Reader(tmp_path)) as one:
        one.read(ROOT / "README.md", lambda chapter: chapter != IN_A_CLUSTER)
        assert one.serving


@pytest.mark.parametrize(
    "text",
    [
        "$ edgerun frobnicate\ndone",
        "$ edgerun validate --fast .\nno problems found",
        "$ edgerun validate nothing.yaml\nno problems found",
        "$ make teapot\ntea",
        "$ edgerun --version\nedgerun 9.9.9",
        "$ test -e nothing.yaml",
    ],
)
def test_a_readme_that_promises_too_much_is_caught(tmp_path: Path, text: str) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"## Try it\n```console\n{text}\n```\n")
    with reading(Reader(tmp_path, within_s=0.5)) as one, pytest.raises(AssertionError):
        one.read(path)


def test_shape_is_compared_and_not_time() -> None:
    told = "GET      a.test   /      site/a/x   site/b   200      1       4.2     note"
    assert not lacking([told], [told.replace("4.2", "17.9").replace("1  ", "5  ")])
    assert lacking([told], [told.replace("200", "503")])
    assert lacking([told], [told.replace("site/a/x", "site/a/y")])
    assert not lacking(["a ..."], ["a b c"])
    assert lacking(["a b"], ["a b c"])
