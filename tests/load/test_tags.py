"""A tag moves from one revision to another, and nobody who calls it notices but by who answers."""

from functools import partial
from pathlib import Path

import pytest

from support.load import load
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.load]

ECHO = Path(__file__).parents[1] / "support" / "origins.py"
MOVES = 20
GREEN = {"knative-serving-tag": "green"}
ROUTES = """
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: shop}
spec:
  hostnames: [shop.test]
  tagHeader: true
  rules: [{origins: [{service: {name: cart}}]}]
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: preview}
spec:
  hostnames: [preview.test]
  rules: [{origins: [{service: {name: cart, tag: green}}]}]
---"""


def cart(answers: str, *traffic: str) -> str:
    targets = "\n".join(f"  - {one}" for one in traffic or ("{latestRevision: true, percent: 100}",))
    env = f"{{name: NAME, value: {answers}}}"
    return f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: cart}}
spec:
  traffic:
{targets}
  template: {{spec: {{containers: [{{command: [python3, "{ECHO}"], env: [{env}]}}]}}}}
---"""


async def answers(here: Standalone, host: str, name: str, **headers: str) -> bool:
    return (await here.get(host=host, headers=[*headers.items()])).header("x-origin") == name


async def test_twenty_moves_of_a_tag_fail_no_request(tmp_path: Path) -> None:
    async with standalone(tmp_path, cart("one") + ROUTES) as here:
        await here.until("cart", kind="OriginService")
        here.write(
            cart("two", "{revisionName: cart-00001, percent: 100}", "{latestRevision: true, tag: green}") + ROUTES
        )
        await eventually(lambda: answers(here, "green-shop.test", "two"))
        async with (
            load(here.port, host="shop.test", connections=1) as whole,
            load(here.port, host="green-shop.test", connections=2) as of_the_host,
            load(here.port, host="preview.test", connections=2) as of_the_rule,
            load(here.port, host="shop.test", headers=GREEN, connections=1) as of_the_header,
        ):
            for number in range(MOVES):
                name, revision = (("one", "cart-00001"), ("two", "cart-00002"))[number % 2]
                targets = "{revisionName: cart-00001, percent: 100}", f"{{revisionName: {revision}, tag: green}}"
                here.write(cart("two", *targets) + ROUTES)
                for host in ("green-shop.test", "preview.test"):
                    await eventually(partial(answers, here, host, name))
                assert await answers(here, "shop.test", "one")
                assert await answers(here, "shop.test", name, **GREEN)
        for result in (whole, of_the_host, of_the_rule, of_the_header):
            assert result.answered > 100
            assert result.failed == 0, result
