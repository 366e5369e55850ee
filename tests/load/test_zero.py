"""An origin goes to zero and comes back behind a real edge, as a real process: no request is lost on either way."""

import asyncio
import hashlib
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.translate.holding import IN_VAIN_BODY
from edgerun.translate.names import revision_key
from edgerun.translate.world import AWAKE, Sleep
from local.harness import marked
from support.cold import ask
from support.load import load
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.load, pytest.mark.timeout(1800)]

ECHO = Path(__file__).parents[1] / "support" / "origins.py"
CART = revision_key(ObjectKey("OriginService", "default", "cart"), "cart-00001")
PASSES = int(os.environ.get("EDGERUN_TEST_PASSES", "10"))  # through zero and back, of 8 s each
STEP_S = 0.4  # ten of them are longer than it takes from the beginning to the end
SLEEPS_WITHIN_S = 30.0

SHOP = f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: cart}}
spec:
  guard: Disabled
  scaling: {{minScale: 0, window: 6s}}
  template:
    spec:
      containers: [{{command: [python3, "{ECHO}"], env: [{{name: NAME, value: cart}}]}}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: web}}
spec: {{rules: [{{origins: [{{service: {{name: cart}}}}]}}]}}
"""


def sleep(here: Standalone) -> Sleep:
    return here.runtime.controller.store.epochs.get(CART, AWAKE).sleep


def processes(here: Standalone) -> set[str]:
    """Of the origin: all but Envoy and the keeper."""
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in marked(here.instance_id)}
    return {str(pid) for pid, line in names.items() if str(ECHO).encode() in line}


async def asleep(here: Standalone) -> None:
    await eventually(lambda: sleep(here) is Sleep.ASLEEP, within_s=SLEEPS_WITHIN_S, what="the origin sleeps")


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Standalone]:
    async with standalone(tmp_path, SHOP) as here:
        await here.until("cart", kind="OriginService")
        await here.until("web")
        yield here


@pytest.mark.parametrize("guard", ["Enabled", "Disabled"])
async def test_it_goes_to_zero_and_the_first_request_wakes_it(tmp_path: Path, guard: str) -> None:
    async with standalone(tmp_path, SHOP.replace("Disabled", guard)) as shop:
        await shop.until("cart", kind="OriginService")
        assert (await shop.get()).status == 200
        await asleep(shop)
        await eventually(lambda: not processes(shop), within_s=SLEEPS_WITHIN_S)
        answers = await asyncio.gather(*(shop.get() for _ in range(50)))
        assert [one.status for one in answers] == [200] * 50
        assert len(processes(shop)) == 1
        assert shop.runtime.controller.store.scales[CART] == 1


async def test_again_and_again_through_zero_with_a_burst_at_every_step_of_it(shop: Standalone) -> None:
    """In each pass at another moment, from when it begins to close until it has nothing left."""
    failed = Counter[str]()
    for number in range(PASSES):
        await eventually(lambda: sleep(shop) is not Sleep.AWAKE, within_s=SLEEPS_WITHIN_S)
        await asyncio.sleep((number % 10) * STEP_S)
        async with load(shop.port, connections=20, max_requests=200) as burst:
            await eventually(lambda: burst.answered + burst.failed >= 200, within_s=20.0)
        failed += Counter({str(burst): burst.failed})
        assert (await shop.get()).status == 200
    assert not failed


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
        await here.until("web")
        await asleep(here)
        app.unlink()
        answer = await here.get()
        assert (answer.status, answer.header("retry-after"), answer.body) == (503, "5", IN_VAIN_BODY)
        said = await here.until("cart", "False", kind="OriginService")
        assert "No such file or directory" in said.message
        app.write_bytes(ECHO.read_bytes())
        await eventually(lambda: sleep(here) is Sleep.AWAKE, within_s=SLEEPS_WITHIN_S)
        assert (await here.get()).status == 200
        await here.until("cart", kind="OriginService")
