"""A folder of files as a source: what it feeds, when, and what it does not let disturb what serves."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.sources.files import Folder
from edgerun.sources.store import Change, Gone, Seen, Store
from edgerun.translate.world import Edge
from support.invalid import Case, cases
from support.poll import eventually


def route(name: str, body: str = "ok") -> str:
    return f"""\
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: {name}}}
spec:
  rules:
  - respond: {{body: {body}}}
"""


@dataclass
class Fed:
    """What a folder has fed, and what follows from it: the body of each route."""

    changes: list[Change] = field(default_factory=list)
    bodies: dict[str, str] = field(default_factory=dict)

    def __call__(self, change: Change) -> None:
        self.changes.append(change)
        match change:
            case Seen():
                self.bodies[change.raw["metadata"]["name"]] = change.raw["spec"]["rules"][0]["respond"]["body"]
            case Gone():
                del self.bodies[change.key.name]

    def taken(self) -> list[Change]:
        """The changes since the last time."""
        changes, self.changes = self.changes, []
        return changes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "conf"
    folder.mkdir()
    return folder


@pytest.fixture
def fed() -> Fed:
    return Fed()


@pytest.fixture
def folder(root: Path, fed: Fed) -> Folder:
    return Folder(root, fed)


def messages(folder: Folder, root: Path) -> list[str]:
    return [str(problem).replace(f"{root}/", "") for problem in folder.problems]


def test_all_yaml_files_below_the_root_are_read_in_order(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "sub" / "deep").mkdir(parents=True)
    (root / ".git").mkdir()
    for path in ("b.yaml", "a.yml", "sub/deep/c.yaml", ".git/d.yaml", ".e.yaml", "f.json", "g.yaml~"):
        (root / path).write_text(route(Path(path).name.strip(".")[0]))
    folder.scan()
    assert [change.where for change in fed.changes if isinstance(change, Seen)] == [
        f"{root}/a.yml:1",
        f"{root}/b.yaml:1",
        f"{root}/sub/deep/c.yaml:1",
    ]
    assert folder.problems == ()


def test_where_is_as_the_root_was_typed(root: Path, fed: Fed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    (root / "a.yaml").write_text("# first\n---\n" + route("web"))
    Folder(Path("conf"), fed).scan()
    (seen,) = fed.changes
    assert isinstance(seen, Seen)
    assert seen.where == "conf/a.yaml:3"
    assert seen.lines is not None
    assert seen.lines.line("spec.rules[0].respond.body") == 8


def test_a_file_can_be_the_root(root: Path, fed: Fed) -> None:
    (root / "a.txt").write_text(route("web"))
    (root / "b.yaml").write_text(route("other"))
    Folder(root / "a.txt", fed).scan()
    assert fed.bodies == {"web": "ok"}


def test_a_root_that_is_not_there_is_empty(root: Path, fed: Fed) -> None:
    Folder(root / "none", fed).scan()
    assert fed.changes == []


def test_only_what_changed_is_fed(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").write_text(route("one") + "---\n" + route("two"))
    folder.scan()
    assert len(fed.taken()) == 2
    folder.scan()
    assert fed.taken() == []
    (root / "a.yaml").write_text(route("one") + "---\n" + route("two", "new"))
    folder.scan()
    (seen,) = fed.taken()
    assert isinstance(seen, Seen)
    assert seen.raw["metadata"]["name"] == "two"


def test_a_write_of_the_same_size_at_once_is_seen(root: Path, folder: Folder, fed: Fed) -> None:
    """The clock of a file system ticks slowly; two writes may bear the same time."""
    for number in range(50):
        (root / "a.yaml").write_text(route("web", f"v{number:02}"))
        folder.scan()
        assert fed.bodies == {"web": f"v{number:02}"}


def test_what_vanishes_is_gone(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").write_text(route("one") + "---\n" + route("two"))
    (root / "b.yaml").write_text(route("three"))
    folder.scan()
    (root / "a.yaml").write_text(route("one"))
    (root / "b.yaml").unlink()
    fed.taken()
    folder.scan()
    assert set(fed.taken()) == {Gone(ObjectKey("EdgeRoute", "default", name)) for name in ("two", "three")}


@pytest.mark.parametrize("broken", ["a: [", "a: 1\na: 2\n", "\t", "\xff"])
def test_a_broken_file_keeps_what_it_held(root: Path, folder: Folder, fed: Fed, broken: str) -> None:
    (root / "a.yaml").write_text(route("web"))
    folder.scan()
    fed.taken()
    (root / "a.yaml").write_bytes(broken.encode("latin-1"))
    folder.scan()
    folder.scan()
    assert fed.taken() == []
    assert len(folder.problems) == 1
    (root / "a.yaml").write_text(route("web", "mended"))
    folder.scan()
    assert fed.bodies == {"web": "mended"}
    assert folder.problems == ()


def test_a_broken_document_does_not_hold_up_its_neighbours(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").write_text(route("one") + "---\n" + route("two"))
    folder.scan()
    (root / "a.yaml").write_text(route("one", "new") + "---\nname: two\nname: two\n")
    folder.scan()
    assert fed.bodies == {"one": "new", "two": "ok"}
    assert messages(folder, root) == ['a.yaml:9: key "name" already set in map, on line 8']


def test_a_broken_file_that_is_removed_is_gone(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").write_text(route("web"))
    folder.scan()
    (root / "a.yaml").write_text("a: [")
    folder.scan()
    (root / "a.yaml").unlink()
    folder.scan()
    assert fed.bodies == {}
    assert folder.problems == ()


def test_of_two_definitions_the_first_counts_until_it_goes(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "b.yaml").write_text(route("web", "second"))
    (root / "a.yaml").write_text("# first\n" + route("web", "first"))
    folder.scan()
    assert fed.bodies == {"web": "first"}
    (problem,) = folder.problems
    assert str(problem) == (
        f"{root}/b.yaml:1: EdgeRoute default/web is already defined at {root}/a.yaml:2, and that one counts; "
        "remove one of the two"
    )
    (root / "a.yaml").unlink()
    folder.scan()
    assert fed.bodies == {"web": "second"}
    assert not any(isinstance(change, Gone) for change in fed.changes)
    assert folder.problems == ()


def test_an_object_of_another_api_is_left_alone_without_a_word(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n---\n" + route("web"))
    folder.scan()
    assert fed.bodies == {"web": "ok"}
    assert messages(folder, root) == []


def test_an_object_that_was_meant_to_be_ours_is_told(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").write_text(route("web").replace("edgerun.dev", "edgrun.dev"))
    (root / "b.yaml").write_text(route("web").replace("EdgeRoute", "EdgeRoot"))
    folder.scan()
    assert fed.bodies == {}
    assert messages(folder, root) == [
        'a.yaml:1: apiVersion: no matches for kind "EdgeRoute" in version "edgrun.dev/v1alpha1"; '
        "it is edgerun.dev/v1alpha1",
        'b.yaml:2: kind: no matches for kind "EdgeRoot" in version "edgerun.dev/v1alpha1"; did you mean "EdgeRoute"?',
    ]


def test_an_unreadable_file_is_told(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").symlink_to(root / "nowhere")
    os.mkfifo(root / "b.yaml")
    (root / "c.yaml").write_text(route("web"))
    folder.scan()
    assert messages(folder, root) == ["a.yaml: cannot be read: No such file or directory", "b.yaml: not a regular file"]
    assert fed.bodies == {"web": "ok"}


def test_links_are_followed_but_not_in_circles(root: Path, folder: Folder, fed: Fed) -> None:
    elsewhere = root.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "a.yaml").write_text(route("web"))
    (elsewhere / "up").symlink_to(root)
    (root / "in").symlink_to(elsewhere)
    folder.scan()
    assert fed.bodies == {"web": "ok"}
    assert folder.problems == ()


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_bad_object_disturbs_no_good_one(root: Path, case: Case) -> None:
    (root / "good.yaml").write_text(route("good"))
    store = Store(Edge(), lambda: datetime.now(UTC), lambda *, urgent: None)
    folder = Folder(root, store.apply)
    folder.scan()
    shutil.copy(case.path, root)
    folder.scan()
    world = store.snapshot()
    assert [served.metadata.name for served in (*world.routes, *world.origins)] == ["good"]
    assert world.refusals or folder.problems


@asynccontextmanager
async def watched(folder: Folder) -> AsyncIterator[None]:
    """The folder is watched, and events are known to arrive."""
    task = asyncio.create_task(folder.watch(), name="watch")
    await asyncio.sleep(0)
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()


async def serves(fed: Fed, **bodies: str) -> None:
    await eventually(lambda: fed.bodies == bodies, what=f"{bodies}, but it is {fed.bodies}")


async def test_a_saved_file_is_seen(root: Path, folder: Folder, fed: Fed) -> None:
    async with watched(folder):
        for number in range(5):
            (root / "a.yaml").write_text(route("web", f"v{number}"))
            await serves(fed, web=f"v{number}")


async def test_a_file_that_is_replaced_as_editors_do_is_never_gone(root: Path, folder: Folder, fed: Fed) -> None:
    file = root / "a.yaml"
    file.write_text(route("web", "v0"))
    async with watched(folder):
        await serves(fed, web="v0")
        file.rename(root / "a.yaml~")
        await asyncio.sleep(0.02)  # an editor writes a new file meanwhile
        file.write_text(route("web", "v1"))
        await serves(fed, web="v1")
        file.write_text("")
        await asyncio.sleep(0.02)
        file.write_text(route("web", "v2"))
        await serves(fed, web="v2")
        (root / "new").write_text(route("web", "v3"))
        (root / "new").rename(file)
        await serves(fed, web="v3")
    assert not any(isinstance(change, Gone) for change in fed.changes)


async def test_a_folder_may_be_removed_and_made_anew(root: Path, folder: Folder, fed: Fed) -> None:
    (root / "a.yaml").write_text(route("one"))
    async with watched(folder):
        await serves(fed, one="ok")
        shutil.rmtree(root)
        await serves(fed)
        root.mkdir()
        (root / "a.yaml").write_text(route("two"))
        await serves(fed, two="ok")
        (root / "a.yaml").write_text(route("two", "new"))
        await serves(fed, two="new")


async def test_a_folder_may_come_later(root: Path, fed: Fed) -> None:
    async with watched(Folder(root / "later", fed)):
        (root / "later").mkdir()
        (root / "later" / "a.yaml").write_text(route("web"))
        await serves(fed, web="ok")


async def test_a_new_folder_in_it_is_watched_as_well(root: Path, folder: Folder, fed: Fed) -> None:
    async with watched(folder):
        (root / "sub").mkdir()
        (root / "sub" / "a.yaml").write_text(route("web"))
        await serves(fed, web="ok")
        (root / "sub" / "a.yaml").write_text(route("web", "new"))
        await serves(fed, web="new")
        shutil.rmtree(root / "sub")
        await serves(fed)


async def test_a_single_file_is_watched_too(root: Path, fed: Fed) -> None:
    file = root / "a.yaml"
    file.write_text(route("web"))
    async with watched(Folder(file, fed)):
        await serves(fed, web="ok")
        (root / "b.yaml").write_text(route("other"))
        file.write_text(route("web", "new"))
        await serves(fed, web="new")


async def test_whoever_asks_is_told_after_every_scan(root: Path, folder: Folder) -> None:
    told: list[int] = []
    task = asyncio.create_task(folder.watch(lambda: told.append(len(folder.problems))))
    await eventually(lambda: told)
    (root / "a.yaml").write_text("a: [")
    await eventually(lambda: told[-1] == 1)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
