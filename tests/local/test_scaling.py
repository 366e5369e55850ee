"""The whole standalone mode under load: processes come and go with it, and no request is lost.

What the edge reports is what its Envoy counted; only the window is shorter than it usually is.
"""

import asyncio
import os
from pathlib import Path

import pytest

from local.harness import CART, FIRST, marked
from support.load import load
from support.poll import eventually
from support.standalone import Standalone, standalone

pytestmark = [pytest.mark.envoy, pytest.mark.load]

SLOW = """
import os, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Slow(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        time.sleep(0.1)
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def log_message(self, *arguments): pass
ThreadingHTTPServer.request_queue_size = 128
ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), Slow).serve_forever()
"""
SHOP = """
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {name: cart, namespace: shop}
spec:
  guard: GUARD
  scaling: {target: 5, targetUtilization: 100, window: 6s, maxScale: 4}
  template: {spec: {containers: [{command: [python3, ./slow.py]}]}}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: cart, namespace: shop}
spec: {rules: [{origins: [{service: {name: cart}}]}]}
"""


def serving(here: Standalone) -> int:
    return len(here.runtime.controller.store.observations[FIRST].endpoints)


def apps(here: Standalone) -> int:
    """Processes that are no Envoy."""
    found = (os.path.basename(os.readlink(f"/proc/{pid}/exe")) for pid in marked(here.instance_id))
    return sum(name != "envoy" for name in found)


async def until_serving(here: Standalone, replicas: int) -> None:
    def check() -> bool:
        assert serving(here) == replicas, here.runtime.controller.loads
        return True

    await eventually(check)


@pytest.mark.parametrize("guard", ["Enabled", "Disabled"])
async def test_one_process_becomes_four_and_one_again_and_no_request_fails(tmp_path: Path, guard: str) -> None:
    (tmp_path / "slow.py").write_text(SLOW)
    async with standalone(tmp_path, SHOP.replace("GUARD", guard)) as here:
        await here.until("cart", kind="OriginService", namespace="shop")
        await here.until("cart", namespace="shop")
        async with load(here.port, connections=1, pause_s=0.05) as always:
            await asyncio.sleep(3)
            assert serving(here) == 1
            async with load(here.port, connections=20) as flood:
                await until_serving(here, 4)
                await asyncio.sleep(2)
            await until_serving(here, 1)
            await eventually(lambda: apps(here) == 1)
            await asyncio.sleep(3)
        assert flood.answered > 500, flood
        assert not flood.failed, flood
        assert not always.failed, always
        line = here.runtime.controller.board.lines[CART]
        assert line.status.replicas == type(line.status.replicas)(desired=1, ready=1)
        said = [line for name, line in here.audience.lines if line.startswith("edgerun: Scaled ")]
        assert said[0].startswith("edgerun: Scaled cart-00001 from 1 to ")
        assert said[-1].endswith("concurrent requests, target 5 a replica")
