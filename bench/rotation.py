"""What a rotation of the keys takes with a hundred origins, what a revocation takes, and what a guard is.

A caller asks the edge all the time, and a request of it that fails spoils the run. Trap: this is a process of its own
(`python rotation.py`), because the proxies in it are many.
"""

import asyncio
import json
from typing import Any

from callers import PAUSE_S, calling
from ring import ORIGINS, REAL, Ring, ring

from edgerun.runtime.keyholder import PERIOD_S

ROUNDS = 20
REFUSALS = 10  # after which a guard is taken to refuse for good
DAY_S = 86_400.0
SOON_S = 0.01  # between two looks of a control plane that waits for guards to know a key


async def measured() -> dict[str, Any]:
    """Rotations to a key that nobody has heard of yet; revocations while all know the next key, as is usual."""
    async with ring(overlap_s=0, period_s=SOON_S) as one:
        rotations = [await rotated(one) for _ in range(ROUNDS)]
    async with ring(overlap_s=DAY_S, period_s=PERIOD_S) as other:
        revocations = [await revoked(other) for _ in range(ROUNDS)]
    return {
        "origins": ORIGINS,
        "envoys": REAL,
        "rotations": rotations,
        "revocations": revocations,
        "memory_mib": one.memory_mib + other.memory_mib,
        "start_ms": one.start_ms + other.start_ms,
    }


async def rotated(here: Ring) -> dict[str, float]:
    caller, before = here.caller(), here.received()
    async with calling([caller]):
        found = await here.tell("rotate")
    caller.must_be_served()
    bytes_sent = since(before, here)
    await here.tell("tidy")
    return found | bytes_sent | {"requests": len(caller.answers)}


async def revoked(here: Ring) -> dict[str, float]:
    """Beside the caller, others call the guards themselves, and go on with tokens of the key that is revoked."""
    caller, strangers, before = here.caller(), here.strangers(), here.received()
    async with calling([caller, *strangers]):
        found = await here.tell("revoke")
        while any(len(one.refused) < REFUSALS for one in strangers):
            await asyncio.sleep(PAUSE_S)
    caller.must_be_served()
    bytes_sent = since(before, here)
    last = [1000 * (one.last_served_s() - found["began_s"]) for one in strangers]
    await here.tell("tidy")
    accepted = {"last_accepted_ms": max(last), "first_guard_ms": min(last)}
    return found | bytes_sent | accepted | {"requests": len(caller.answers)}


def since(before: dict[str, float], here: Ring) -> dict[str, float]:
    return {name: received - before[name] for name, received in here.received().items()}


if __name__ == "__main__":
    print(json.dumps(asyncio.run(measured())))
