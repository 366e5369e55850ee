"""A rollout that fails goes back by itself, on nothing but what a real Envoy reports."""

from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from support.load import load
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = pytest.mark.envoy

ECHO = Path(__file__).parents[1] / "support" / "origins.py"


def cart(name: str, status: int = 200) -> str:
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: shop}}
spec: {{rules: [{{origins: [{{service: {{name: cart}}}}]}}]}}
---
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: cart}}
spec:
  guard: Disabled
  rollout: {{duration: 60s, maxErrorPercent: 5}}
  template:
    spec:
      containers:
      - command: [python3, {ECHO}]
        env: [{{name: NAME, value: {name}}}, {{name: STATUS, value: "{status}"}}]
"""


def percent(here: Standalone, revision: str) -> int:
    published = here.runtime.controller.published
    assert published
    decided = published.world.revised[ObjectKey("OriginService", "default", "cart")]
    return sum(one.percent for one in decided.assignment.weights if one.revision_name == revision)


async def test_a_revision_that_answers_with_errors_loses_its_requests_within_seconds(tmp_path: Path) -> None:
    async with standalone(tmp_path, cart("good")) as here:
        await here.until("shop")
        async with load(here.port, connections=4) as result:
            here.write(cart("bad", status=500))
            await eventually(lambda: percent(here, "cart-00002") >= 1)
            told = await here.until("cart", type="RolledBack", kind="OriginService")
            assert 'revision "cart-00002" failed' in told.message
            assert told.message.endswith(
                'spec.rollout.maxErrorPercent allows 5 %); revision "cart-00001" serves instead'
            )
            assert percent(here, "cart-00001") == 100
            ready = here.condition(ObjectKey("OriginService", "default", "cart"), "Ready")
            assert ready
            assert (ready.status, ready.reason) == ("False", "RolledBack")
            assert {(await here.get()).header("x-origin") for _ in range(20)} == {"good"}
        assert result.answered > 100


async def test_a_revision_that_answers_well_keeps_its_requests(tmp_path: Path) -> None:
    async with standalone(tmp_path, cart("good").replace("60s", "5s")) as here:
        await here.until("shop")
        async with load(here.port, connections=4) as result:
            here.write(cart("better").replace("60s", "5s"))
            await eventually(lambda: percent(here, "cart-00002") == 100)
        assert here.condition(ObjectKey("OriginService", "default", "cart"), "RolledBack") is None
        assert result.failed == 0
