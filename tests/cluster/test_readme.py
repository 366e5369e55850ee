"""What the README says of a cluster, done in one of its own: nobody else may have a release in it.

`kubectl` and `helm` are those of tools/cluster. So is `kind`, in the two things that are asked of it: in the place of a
kind cluster stands one of our own making, and an archive is loaded into that. All else is typed as it is written.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.cluster import TOOLS, tool
from support.reader import IN_A_CLUSTER, ROOT, Reader, reading
from support.release import leftovers

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

KIND = """#!/bin/bash -e
[[ $1 == load && $2 == image-archive ]]
exec "{load}" --folder "{folder}" "$3"
"""


@pytest.fixture
def kubeconfig(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "cluster"
    try:
        yield Path(tool("up", folder).strip())
    finally:
        tool("down", folder)


@pytest.fixture
def programs(tmp_path: Path, kubeconfig: Path) -> Path:
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("kubectl", "helm"):
        (folder / name).symlink_to(TOOLS / "cluster" / name)
    (folder / "kind").write_text(KIND.format(load=TOOLS / "cluster" / "load", folder=kubeconfig.parent))
    (folder / "kind").chmod(0o755)
    return folder


@pytest.mark.skipif(os.geteuid() != 0, reason="a whole cluster needs root")
@pytest.mark.skipif(not shutil.which("curl"), reason="the README is not run: there is no curl")
def test_all_that_the_readme_says_of_a_cluster_is_so(
    tmp_path: Path, kubeconfig: Path, programs: Path, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "reader").mkdir()
    one = Reader(tmp_path / "reader", 60, ROOT, programs, {"KUBECONFIG": str(kubeconfig)})
    with reading(one):
        one.read(ROOT / "README.md", lambda chapter: chapter == IN_A_CLUSTER)
        assert one.serving
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig))
    assert not leftovers()
