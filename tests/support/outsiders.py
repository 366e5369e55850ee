"""A pod in a namespace of nobody's, from which a guard is asked around the edge. What it runs is support/caller.py."""

import asyncio
import json
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edgerun.credentials.certificates import Pair
from edgerun.translate.guard_policy import CREDENTIAL_HEADER
from support.cluster import TOOLS
from support.pods import pod, restricted
from support.shop import Shop

PROGRAM = Path(__file__).with_name("caller.py")
FOLDER, NAME = "/caller", "outsider"
GUARD_PORT = 18443
PAUSE_S = 0.02
LONGEST_S = 60.0  # of asking again and again, should nobody end it


@dataclass(frozen=True, slots=True)
class Said:
    """What came back to one request; `status` is 0 when that was no answer."""

    at: float
    status: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class Outsider:
    shop: Shop

    @classmethod
    def placed(cls, shop: Shop, image: str) -> "Outsider":
        """In this namespace, once it runs."""
        data = {PROGRAM.name: PROGRAM.read_text()}
        shop.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": NAME}, "data": data}, _pod(image))
        shop.kubectl("wait", f"pod/{NAME}", "--for=condition=Ready", "--timeout=60s")
        return cls(shop)

    async def ask(self, address: str, shown: Pair | None = None, token: str = "") -> Said:
        """One request to the guard there."""
        async with self._run(_order(address, shown, token)) as said:
            await said.over.wait()
        return said.lines[-1]

    @asynccontextmanager
    async def asking(self, address: str, shown: Pair, token: str) -> AsyncIterator["Saying"]:
        """The same request on one connection, again and again while the block runs."""
        async with self._run(_order(address, shown, token) | {"for_s": LONGEST_S}) as said:
            yield said

    @asynccontextmanager
    async def _run(self, order: Mapping[str, Any]) -> AsyncIterator["Saying"]:
        """What it is to show goes in by stdin: no log and no argument has it."""
        command = ("exec", "--stdin", NAME, f"--namespace={self.shop.namespace}", "--", "python3")
        kubectl = await asyncio.create_subprocess_exec(
            TOOLS / "cluster" / "kubectl", *command, f"{FOLDER}/{PROGRAM.name}", stdin=PIPE, stdout=PIPE
        )
        assert kubectl.stdin
        kubectl.stdin.write(json.dumps(order).encode())
        kubectl.stdin.close()
        said = Saying()
        reading = asyncio.create_task(said.read(kubectl), name="what a guard says to an outsider")
        try:
            yield said
        finally:
            if kubectl.returncode is None:
                kubectl.terminate()
            await reading
            await kubectl.wait()


@dataclass
class Saying:
    """Grows while an outsider asks."""

    lines: list[Said] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def at(self, status: int) -> list[float]:
        """When this was answered."""
        return [one.at for one in self.lines if one.status == status]

    async def read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            self.lines.append(Said(**json.loads(line)))
        self.over.set()


def _order(address: str, shown: Pair | None, token: str) -> dict[str, Any]:
    return {
        "host": address,
        "port": GUARD_PORT,
        "headers": {CREDENTIAL_HEADER: f"Bearer {token}"} if token else {},
        "pem": shown.key + shown.certificate if shown else "",
        "pause_s": PAUSE_S,
        "for_s": 0.0,
    }


def _pod(image: str) -> dict[str, Any]:
    files = [{"name": "caller", "mountPath": FOLDER}, {"name": "tmp", "mountPath": "/tmp"}]
    spec = restricted(image, ["python3", "-c", "import signal; signal.pause()"], volumeMounts=files)
    volumes = [{"name": "caller", "configMap": {"name": NAME}}, {"name": "tmp", "emptyDir": {}}]
    return pod(NAME, {**spec, "terminationGracePeriodSeconds": 0, "volumes": volumes})
