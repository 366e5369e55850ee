"""Runtime directories, and the socket through which an instance is asked."""

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgerun.errors import RuntimeDirectoryError
from edgerun.infra.local import control, keeper
from edgerun.infra.local.instance import NOTE, create, instances


@pytest.fixture
def environ() -> Iterator[dict[str, str]]:
    with tempfile.TemporaryDirectory(dir="/tmp", prefix="er-") as path:
        yield {"XDG_RUNTIME_DIR": path}


def test_a_new_instance_is_listed_and_private(environ: dict[str, str], tmp_path: Path) -> None:
    made = create(tmp_path, environ=environ)
    assert instances(tmp_path, environ=environ) == (made,)
    assert made in instances(None, environ=environ)
    assert instances(tmp_path / "other", environ=environ) == ()
    assert made.directory.parent == Path(environ["XDG_RUNTIME_DIR"]) / "edgerun"
    assert made.directory.stat().st_mode & 0o777 == 0o700
    assert keeper.remove(str(made.directory), made.id)
    assert instances(tmp_path, environ=environ) == ()


def test_socket_paths_are_short_even_where_the_runtime_directory_is_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90)
    deep.mkdir()
    made = create(tmp_path, environ={"XDG_RUNTIME_DIR": str(deep)})
    try:
        assert made.directory.parent == Path(f"/tmp/edgerun-{os.getuid()}")
        for socket in (made.xds_socket, made.admin_socket, made.control_socket):
            assert len(os.fsencode(socket)) < 100
    finally:
        keeper.remove(str(made.directory), made.id)


@pytest.mark.parametrize("trick", ["link", "open", "file"])
def test_a_base_that_others_may_have_prepared_is_refused(environ: dict[str, str], tmp_path: Path, trick: str) -> None:
    base = Path(environ["XDG_RUNTIME_DIR"]) / "edgerun"
    if trick == "link":
        (tmp_path / "real").mkdir(mode=0o700)
        base.symlink_to(tmp_path / "real")
    elif trick == "open":
        base.mkdir()
        base.chmod(0o777)
    else:
        base.write_text("")
    with pytest.raises(RuntimeDirectoryError, match="can enter"):
        create(tmp_path, environ=environ)


def test_the_directory_of_a_dead_instance_is_removed(environ: dict[str, str], tmp_path: Path) -> None:
    with subprocess.Popen(["true"]) as gone:
        gone.wait()
    made = create(tmp_path, environ=environ)
    stale = made.directory.with_name(made.directory.name.rpartition("-")[0] + f"-{gone.pid}")
    made.directory.rename(stale)
    assert instances(tmp_path, environ=environ) == ()
    assert not stale.exists()


def test_a_later_process_of_the_same_number_is_not_the_instance(environ: dict[str, str], tmp_path: Path) -> None:
    made = create(tmp_path, environ=environ)
    note = made.directory / NOTE
    note.write_text(note.read_text().replace(made.started, "1"))
    assert instances(tmp_path, environ=environ) == ()


def test_a_note_that_cannot_be_read_is_passed_over(environ: dict[str, str], tmp_path: Path) -> None:
    made = create(tmp_path, environ=environ)
    (made.directory / NOTE).write_text("{")
    assert instances(tmp_path, environ=environ) == ()
    assert made.directory.exists()


async def test_an_answer_of_any_size_arrives_whole_at_who_asked(tmp_path: Path) -> None:
    body = os.urandom(3_000_000) + b"\n"

    async def answer(question: str) -> bytes:
        return question.encode() + body

    with tempfile.TemporaryDirectory(dir="/tmp", prefix="er-") as runtime:
        path = Path(runtime) / "control.sock"
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(control.serve(path, answer), name="serve")
            while not path.exists():
                await asyncio.sleep(0)
            assert path.stat().st_mode & 0o777 == 0o600
            answers = await asyncio.gather(*(control.fetch(path, 5, f"question {one}") for one in range(5)))
            assert answers == [f"question {one}".encode() + body for one in range(5)]
            assert await control.fetch(path, 5) == body
            serving.cancel()


async def test_an_answer_that_is_cut_short_or_never_comes_is_an_error(tmp_path: Path) -> None:
    hung_up = asyncio.Event()

    async def short(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"100\nonly this")
        writer.close()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        hung_up.set()

    with tempfile.TemporaryDirectory(dir="/tmp", prefix="er-") as runtime:
        for name, behave, error in (("a", short, ConnectionError), ("b", silent, TimeoutError)):
            async with await asyncio.start_unix_server(behave, Path(runtime) / name):
                with pytest.raises(error):
                    await control.fetch(Path(runtime) / name, 0.2)
        await hung_up.wait()
        with pytest.raises(OSError):
            await control.fetch(Path(runtime) / "nobody", 1)
