"""An origin goes to zero and comes back behind a real edge, as a real process: no request is lost on either way.

"Zero" is: no replica is wanted or observed, no process is left, and all is quiet for a while.
"""

import asyncio
import hashlib
import itertools
import json
import os
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.translate.holding import IN_VAIN_BODY
from edgerun.translate.names import revision_key
from edgerun.translate.world import AWAKE, Sleep
from local.harness import marked, steadily
from support.cold import ask
from support.load import Result, load
from support.poll import eventually
from support.standalone import Standalone, standalone

PASSES = int(os.environ.get("EDGERUN_TEST_PASSES", "40"))  # through zero and back, of all origins together
AT_ONCE = 16  # origins that pass, each in 10 s or so: no window is shorter than 6 s
LONGEST_S = 4.0  # more than it takes from the beginning of the end until nothing is left
GOLDEN = 0.618034  # multiples of it, less the whole, lie evenly between 0 and 1, however many they are
QUIET_S = 5.0
PASSES_WITHIN_S = 120 + 6 * PASSES  # four times as long as it takes

pytestmark = [pytest.mark.envoy, pytest.mark.load]
ECHO = Path(__file__).parents[1] / "support" / "origins.py"


def service(name: str = "cart", host: str = "") -> str:
    hostnames = f"hostnames: [{host}], " if host else ""
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: {name}}}
spec:
  guard: Disabled
  scaling: {{minScale: 0, window: 6s}}
  template:
    spec:
      containers: [{{command: [python3, "{ECHO}"], env: [{{name: NAME, value: {name}}}]}}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: {name}}}
spec: {{{hostnames}rules: [{{origins: [{{service: {{name: {name}}}}}]}}]}}
---"""


SHOP = service()


def revision(name: str = "cart") -> ObjectKey:
    return revision_key(ObjectKey("OriginService", "default", name), f"{name}-00001")


def sleep(here: Standalone, name: str = "cart") -> Sleep:
    return here.runtime.controller.store.epochs.get(revision(name), AWAKE).sleep


def replicas(here: Standalone, name: str = "cart") -> tuple[int, int | None]:
    """Wanted, and observed."""
    store = here.runtime.controller.store
    return store.scales[revision(name)], store.observations[revision(name)].replicas


def processes(here: Standalone) -> set[str]:
    """Of the origin: all but Envoy and the keeper."""
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in marked(here.instance_id)}
    return {str(pid) for pid, line in names.items() if str(ECHO).encode() in line}


def is_zero(here: Standalone) -> bool:
    return (replicas(here), processes(here)) == ((0, 0), set())


async def asleep(here: Standalone) -> None:
    await eventually(lambda: sleep(here) is Sleep.ASLEEP, what="the origin sleeps")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Standalone]:
    async with standalone(tmp_path, SHOP) as here:
        await here.until("cart", kind="OriginService")
        await here.until("cart")
        yield here


@pytest.mark.parametrize("guard", ["Enabled", "Disabled"])
async def test_it_goes_to_zero_and_the_first_request_wakes_it(tmp_path: Path, guard: str) -> None:
    async with standalone(tmp_path, SHOP.replace("Disabled", guard)) as shop:
        await shop.until("cart", kind="OriginService")
        assert (await shop.get()).status == 200
        await asleep(shop)
        await eventually(lambda: is_zero(shop))
        await steadily(lambda: is_zero(shop), for_s=QUIET_S)
        answers = await asyncio.gather(*(shop.get() for _ in range(50)))
        assert [one.status for one in answers] == [200] * 50
        assert len(processes(shop)) == 1
        assert shop.runtime.controller.store.scales[revision()] == 1


@dataclass(frozen=True, slots=True)
class Burst:
    """What the requests met that came `after_s` the origin began to close."""

    name: str
    after_s: float
    met: Sleep
    result: Result

    def __str__(self) -> str:
        return f"{self.name}, {self.met} {self.after_s:.2f} s after it began to close: {self.result}"


@dataclass(slots=True)
class Passes:
    """Origins that pass until all together were met at zero so often."""

    here: Standalone
    bursts: list[Burst] = field(default_factory=list)
    numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def met(self) -> Counter[Sleep]:
        return Counter(one.met for one in self.bursts)

    async def of(self, name: str) -> None:
        while self.met[Sleep.ASLEEP] < PASSES:
            await eventually(lambda: sleep(self.here, name) is not Sleep.AWAKE, what=name)
            after_s = LONGEST_S * (next(self.numbers) * GOLDEN % 1)
            await asyncio.sleep(after_s)
            met = sleep(self.here, name)
            async with load(
                self.here.port, host=f"{name}.test", connections=20, max_requests=200, timeout_s=30.0
            ) as result:
                await eventually(lambda: result.sent >= 200, what=f"a burst on {name}")
            self.bursts.append(Burst(name, after_s, met, result))

    def lost(self) -> list[Mapping[str, Any]]:
        """What the edge says of requests that were not answered as they should: flags, cluster with its epoch, time."""
        return [entry for entry in self.here.audience.requests if entry["status"] != 200]

    def __str__(self) -> str:
        answered = sum(one.result.answered for one in self.bursts)
        failed = [one for one in self.bursts if one.result.failed]
        told = f"{self.met}, {answered} answers, {sum(one.result.failed for one in failed)} failed"
        return "\n".join([told, *map(str, failed), *(str(dict(entry)) for entry in self.lost())])


@pytest.mark.timeout(PASSES_WITHIN_S)
async def test_again_and_again_through_zero_with_a_burst_at_every_moment_of_it(tmp_path: Path) -> None:
    """In each pass at another moment, from when it begins to close until it has nothing left."""
    names = [f"cart{number}" for number in range(AT_ONCE)]
    async with standalone(tmp_path, "".join(service(name, f"{name}.test") for name in names)) as here:
        for name in names:
            await here.until(name, kind="OriginService")
        passes = Passes(here)
        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(passes.of(name), name=name)
    print(passes)
    assert {Sleep.CLOSING, Sleep.ASLEEP} <= passes.met.keys()
    assert not any(one.result.failed for one in passes.bursts), passes


async def test_a_body_of_100_mb_that_begins_while_nothing_runs_arrives_whole(shop: Standalone) -> None:
    await asleep(shop)
    body = os.urandom(100_000_000)
    status, answer = await ask(shop.port, method="POST", body=body)
    assert (status, json.loads(answer)["bodySha256"]) == (200, hashlib.sha256(body).hexdigest())


async def test_a_client_that_leaves_wakes_it_once_and_the_next_one_is_served(shop: Standalone) -> None:
    await asleep(shop)
    _, writer = await asyncio.open_connection("127.0.0.1", shop.port)
    writer.write(b"GET /gone HTTP/1.1\r\nhost: localhost\r\n\r\n")
    await eventually(lambda: sleep(shop) is Sleep.WAKING)
    writer.close()
    await eventually(lambda: sleep(shop) is Sleep.AWAKE)
    assert (await shop.get()).status == 200
    await asleep(shop)
    await asyncio.sleep(2)
    assert sleep(shop) is Sleep.ASLEEP


async def test_what_does_not_start_costs_503_when_the_time_is_over_and_the_status_says_why(tmp_path: Path) -> None:
    app = tmp_path / "app.py"
    app.write_bytes(ECHO.read_bytes())
    text = SHOP.replace(str(ECHO), str(app)).replace("name: cart}}]}", "name: cart}}], timeouts: {request: 2s}}")
    async with standalone(tmp_path, text) as here:
        await here.until("cart")
        await asleep(here)
        app.unlink()
        answer = await here.get()
        assert (answer.status, answer.header("retry-after"), answer.body) == (503, "5", IN_VAIN_BODY)
        said = await here.until("cart", "False", kind="OriginService")
        assert "No such file or directory" in said.message
        app.write_bytes(ECHO.read_bytes())
        await eventually(lambda: sleep(here) is Sleep.AWAKE)
        assert (await here.get()).status == 200
        await here.until("cart", kind="OriginService")
