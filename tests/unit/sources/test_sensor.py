"""The thread of the watches, without an API server."""

import pytest

from edgerun.access import Access
from edgerun.api.resources import RESOURCES
from edgerun.sources.kubernetes import Object, Sensor, Watched
from support.poll import eventually


class Fatal:
    """A listener whose thread does not survive it."""

    def watching(self) -> None:
        raise SystemExit

    def event(self, type_: str | None, raw: Object) -> None:
        raise AssertionError("nothing was watched")


async def login() -> Access:
    raise AssertionError("nothing was watched")


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_a_thread_that_ended_by_itself_is_dead_and_one_that_was_stopped_is_not() -> None:
    sensor = Sensor((Watched(RESOURCES["EdgeRoute"]),), Fatal(), login)
    assert not sensor.dead
    sensor.start()
    await eventually(lambda: sensor.dead)
    await sensor.stop()
    assert not sensor.dead
