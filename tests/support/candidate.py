"""A candidate for a Lease as a process of its own: python candidate.py KUBECONFIG NAMESPACE IDENTITY.

Prints a line for each moment at which it may write, in seconds of a clock that all processes of the machine share.
"""

import asyncio
import sys
import time
from pathlib import Path

from edgerun.api.meta import ObjectKey
from edgerun.infra.kubernetes.client import connected
from edgerun.infra.kubernetes.leader import Leader, Timing

TIMING = Timing(lease_s=12, renew_s=8, retry_s=0.2, call_s=2)  # nobody loses it because the machine is busy


async def main(kubeconfig: str, namespace: str, identity: str) -> None:
    async with connected(Path(kubeconfig)) as client:
        leader = Leader(
            client,
            ObjectKey("Lease", namespace, "edgerun"),
            identity=identity,
            gained=lambda: print("gained", flush=True),
            lost=lambda: print("lost", flush=True),
            timing=TIMING,
        )
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(leader.run(), name="leader")
            tasks.create_task(asyncio.to_thread(tell, leader), name="tell")


def tell(leader: Leader) -> None:
    while True:
        now = time.monotonic()  # read first: it may be long past when the answer is used
        if leader.valid():
            print(now, flush=True)
        time.sleep(0.005)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
