"""An origin that goes to zero and comes back behind a real edge, as a real process: no request is lost on either way."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edgerun.translate.holding import IN_VAIN_BODY
from edgerun.translate.names import revision_key
from edgerun.api.meta import ObjectKey
from edgerun.translate.world import AWAKE, Sleep
from local.harness import marked
from support.load import load
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.load, pytest.mark.timeout(1800)]

ECHO = Path(__file__).parents[1] / "support" / "origins.py"
CART = revision_key(ObjectKey("OriginService", "default", "cart"), "cart-00001")
PASSES = 30  # through zero and back, of those that are made under load
SLEEPS_WITHIN_S = 30.0

SHOP = f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: cart}}
spec:
  scaling: {{minScale: 0, window: 6s}}
  template:
    spec:
      guard: GUARD
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
    async with standalone(tmp_path, SHOP.replace("      guard: GUARD\n", "")) as here:
        await here.until("cart", kind="OriginService")
        await here.until("web")
        yield here


async def test_it_goes_to_zero_and_the_first_request_wakes_it(shop: Standalone) -> None:
    assert (await shop.get()).status == 200
    await asleep(shop)
    await eventually(lambda: not processes(shop), within_s=SLEEPS_WITHIN_S)
    began = asyncio.get_running_loop().time()
    assert (await shop.get()).status == 200
    print("woken in", asyncio.get_running_loop().time() - began)
    assert len(processes(shop)) == 1
