"""Nothing outlives an instance, however it goes."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from edgerun.infra.local import control, keeper
from edgerun.infra.local.instance import instances
from edgerun.infra.local.leash import Leash
from local.harness import House, marked, origin
from support.poll import eventually, eventually_sync

DRIVER = Path(__file__).with_name("driver.py")
TESTS = DRIVER.parent.parent


@pytest.fixture
def runtime() -> Iterator[str]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="er-") as path:
        yield path


@dataclass
class Driven:
    """An instance in a process of its own."""

    process: subprocess.Popen[str]
    id: str
    directory: Path
    keeper: int

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@contextmanager
def driven(root: Path, runtime: str) -> Iterator[Driven]:
    process = subprocess.Popen(
        [sys.executable, str(DRIVER), str(root)],
        env={**os.environ, "XDG_RUNTIME_DIR": runtime, "PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    told = None
    try:
        assert process.stdout is not None
        told = json.loads(process.stdout.readline())
        yield Driven(process, told["id"], Path(told["directory"]), told["keeper"])
    finally:
        process.kill()
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]
        if told is not None:
            keeper.kill_all([f"{keeper.MARK}={told['id']}"], (), grace_s=0)
            with suppress(ProcessLookupError):
                os.kill(told["keeper"], signal.SIGKILL)


def test_a_killed_instance_leaves_no_orphan_and_no_directory(tmp_path: Path, runtime: str) -> None:
    with driven(tmp_path, runtime) as one:
        assert len(marked(one.id)) >= 7  # four origins, two runaways, Envoy
        one.kill()
        eventually_sync(lambda: not marked(one.id))
        eventually_sync(lambda: not one.directory.exists())
        eventually_sync(lambda: not Path(f"/proc/{one.keeper}").exists())


def test_a_keeper_that_is_told_to_go_stays(tmp_path: Path, runtime: str) -> None:
    with driven(tmp_path, runtime) as one:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(one.keeper, number)
        assert os.getsid(one.keeper) == one.keeper
        one.kill()
        eventually_sync(lambda: not marked(one.id))


def test_two_instances_of_one_directory_do_not_meet(tmp_path: Path, runtime: str) -> None:
    with driven(tmp_path, runtime) as one, driven(tmp_path, runtime) as other:
        environ = {"XDG_RUNTIME_DIR": runtime}
        assert {live.id for live in instances(tmp_path, environ=environ)} == {one.id, other.id}
        others = marked(other.id)
        one.kill()
        eventually_sync(lambda: not marked(one.id))
        assert marked(other.id) == others
        assert [live.id for live in instances(tmp_path, environ=environ)] == [other.id]


async def test_a_running_instance_answers_on_its_control_socket(tmp_path: Path, runtime: str) -> None:
    with driven(tmp_path, runtime):
        (live,) = instances(tmp_path, environ={"XDG_RUNTIME_DIR": runtime})
        assert await control.fetch(live.control_socket, 5) == b"here I am"


def test_what_an_instance_and_its_keeper_left_is_cleared_away_by_the_next(tmp_path: Path, runtime: str) -> None:
    with driven(tmp_path, runtime) as one:
        os.kill(one.keeper, signal.SIGSTOP)  # whoever kills both at once
        os.kill(one.process.pid, signal.SIGSTOP)
        os.kill(one.keeper, signal.SIGKILL)
        one.kill()
        assert marked(one.id)
        assert instances(tmp_path, environ={"XDG_RUNTIME_DIR": runtime}) == ()
        assert not marked(one.id)
        assert not one.directory.exists()


async def test_a_keeper_that_dies_is_replaced_and_knows_everything(house: House) -> None:
    house.apply(origin())
    await house.until_ready()
    first = house.leash.keeper_pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: house.leash.keeper_pid not in (None, first))
    assert house.pids()


async def test_the_groups_told_are_ended_even_without_a_mark(runtime: str) -> None:
    directory = Path(runtime) / "edgerun" / "0-1"
    directory.mkdir(parents=True)
    (directory / keeper.ID_FILE).write_text("unmarked")
    leash = Leash("unmarked", directory)
    await leash.start()
    child = await asyncio.create_subprocess_exec("sleep", "60", env={}, start_new_session=True)
    leash.hold(child.pid)
    leash._hang_up()  # as the kernel does for a process that is killed
    assert await child.wait() == -signal.SIGTERM
    await eventually(lambda: not directory.exists())
    await leash.stop()


async def test_a_group_that_was_released_is_left_alone(runtime: str) -> None:
    directory = Path(runtime) / "edgerun" / "0-1"
    directory.mkdir(parents=True)
    (directory / keeper.ID_FILE).write_text("released")
    leash = Leash("released", directory)
    await leash.start()
    child = await asyncio.create_subprocess_exec("sleep", "60", env={}, start_new_session=True)
    leash.hold(child.pid)
    leash.release(child.pid)
    await leash.stop()
    assert child.returncode is None
    child.kill()
    await child.wait()


def test_a_stranger_whose_mark_only_begins_alike_is_left_alone() -> None:
    with subprocess.Popen(["sleep", "60"], env={keeper.MARK: "abc2"}) as stranger:
        assert keeper.kill_all([f"{keeper.MARK}=abc"], (0, 1), grace_s=0)
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.parametrize("content", ["another", None])
def test_a_directory_that_is_not_the_instances_own_is_not_removed(tmp_path: Path, content: str | None) -> None:
    (tmp_path / "precious").write_text("data")
    if content is not None:
        (tmp_path / keeper.ID_FILE).write_text(content)
    assert not keeper.remove(str(tmp_path), "mine")
    assert (tmp_path / "precious").exists()


def test_a_link_to_a_directory_is_not_followed(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / keeper.ID_FILE).write_text("mine")
    (tmp_path / "link").symlink_to(real)
    assert not keeper.remove(str(tmp_path / "link"), "mine")
    assert real.exists()


def test_the_keeper_needs_nothing_but_the_standard_library() -> None:
    loaded = "import sys, runpy; runpy.run_path(sys.argv[1], run_name='k'); print(*sys.modules)"
    run = subprocess.run(
        [sys.executable, "-I", "-S", "-c", loaded, keeper.__file__], capture_output=True, text=True, check=True
    )
    assert not {"asyncio", "edgerun", "shutil", "subprocess"} & set(run.stdout.split())


def test_kill_all_ends_a_tree_of_processes() -> None:
    script = "import subprocess, sys; subprocess.Popen(['sleep', '60'], env={}); print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stdin=subprocess.PIPE, start_new_session=True
    ) as parent:
        assert parent.stdout is not None
        with closing(parent.stdout):
            parent.stdout.readline()
        assert len(keeper.belonging(frozenset(), frozenset({parent.pid}))) == 2
        assert keeper.kill_all((), (parent.pid,))
        assert not keeper.belonging(frozenset(), frozenset({parent.pid}))
