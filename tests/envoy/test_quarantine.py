"""What Envoy refuses all the same: the object at fault is put aside alone, and its last good version serves.

Everything that is known to be refused is found before it is sent, so here the check for regular expressions is
switched off and Envoy is left to find them.
"""

from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.sources import entries
from support.load import load
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = pytest.mark.envoy


@pytest.fixture(autouse=True)
def nothing_is_known_before(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(entries, "unsupported", lambda found: ())


def route(name: str, body: str, pattern: str = "/.*") -> str:
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: {name}}}
spec:
  hostnames: [{name}.test]
  rules: [{{matches: [{{path: {{type: RegularExpression, value: "{pattern}"}}}}], respond: {{body: "{body}"}}}}]
---"""


BAD = "/(unclosed"


async def body(here: Standalone, name: str) -> str:
    return (await here.get("/x", host=f"{name}.test")).body


async def test_a_refused_version_gives_way_to_the_last_good_one_and_others_go_on_changing(tmp_path: Path) -> None:
    async with standalone(tmp_path, route("good", "1") + route("bad", "1")) as here:
        await here.until("good")
        await here.until("bad")
        async with load(here.port, host="bad.test", path="/x", connections=2) as result:
            here.write(route("good", "2") + route("bad", "2", BAD))
            refused = await here.until("bad", "False", "Accepted", generation=2)
            await here.until("good", generation=2)
            assert await body(here, "good") == "2"
            assert await body(here, "bad") == "1"
        assert refused.reason == "RejectedByProxy"
        assert "missing ): /(unclosed" in refused.message
        assert "generation 1 keeps serving" in refused.message
        assert result.failed == 0, result
        here.write(route("good", "3") + route("bad", "3"))
        await here.until("bad", generation=3)
        assert await body(here, "bad") == "3"


async def test_the_guilty_are_found_among_many_that_came_at_once(tmp_path: Path) -> None:
    names = [f"r{number}" for number in range(12)]
    guilty = {"r3", "r10"}
    text = "".join(route(name, name, BAD if name in guilty else "/.*") for name in names)
    async with standalone(tmp_path, text) as here:
        for name in names:
            await here.until(name, "False" if name in guilty else "True")
        for name in set(names) - guilty:
            assert await body(here, name) == name
        answer = await here.get("/x", host="r3.test")
        assert answer.status == 404


async def test_a_route_that_was_refused_can_be_deleted(tmp_path: Path) -> None:
    async with standalone(tmp_path, route("good", "1") + route("bad", "1", BAD)) as here:
        await here.until("bad", "False", "Accepted")
        here.write(route("good", "2"))
        await here.until("good", generation=2)
        await eventually(lambda: here.condition(ObjectKey("EdgeRoute", "default", "bad"), "Ready") is None)
        assert await body(here, "good") == "2"
