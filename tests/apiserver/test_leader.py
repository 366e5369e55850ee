"""Leader election between processes, on a real API server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from edgerun.api.meta import ObjectKey
from edgerun.infra.kubernetes.client import Client
from support import candidate
from support.apiserver import ApiServer
from support.poll import eventually

LEASE_S = candidate.TIMING.lease_s


@dataclass(frozen=True, slots=True)
class Candidate:
    process: subprocess.Popen[bytes]
    output: Path

    @property
    def lines(self) -> list[str]:
        return self.output.read_text().splitlines()

    @property
    def times(self) -> list[float]:
        """When it might have written."""
        return [float(line) for line in self.lines if line[:1].isdigit()]

    @property
    def says(self) -> list[str]:
        return [line for line in self.lines if line and not line[0].isdigit()]

    @property
    def leads(self) -> bool:
        return self.says[-1:] == ["gained"]


@contextmanager
def running(server: ApiServer, namespace: str, output: Path) -> Iterator[Candidate]:
    command = [sys.executable, candidate.__file__, server.kubeconfig, namespace, output.name]
    with output.open("wb") as file, subprocess.Popen(command, stdout=file) as process:
        try:
            yield Candidate(process, output)
        finally:
            process.kill()


async def test_a_leader_that_was_stopped_past_its_lease_never_writes_beside_its_successor(
    server: ApiServer, namespace: str, tmp_path: Path
) -> None:
    with ExitStack() as stack:
        a = stack.enter_context(running(server, namespace, tmp_path / "a"))
        await eventually(lambda: a.leads and a.times)
        b = stack.enter_context(running(server, namespace, tmp_path / "b"))
        os.kill(a.process.pid, signal.SIGSTOP)
        await eventually(lambda: b.leads)
        os.kill(a.process.pid, signal.SIGCONT)
        await eventually(lambda: a.says == ["gained", "lost"])
        since = b.times[-1]
        await eventually(lambda: b.times[-1] > since + 1)
        os.kill(b.process.pid, signal.SIGKILL)
        await eventually(lambda: a.leads)

        assert b.says == ["gained"]
        first, last = b.times[0], b.times[-1]
        assert last > first + 1
        assert not [moment for moment in a.times if first <= moment <= last]
        before = max(moment for moment in a.times if moment < first)
        assert first - before >= LEASE_S - candidate.TIMING.renew_s, "what was in flight needs time to land"


async def test_an_api_server_that_hangs_leaves_nobody_leading_and_comes_back_to_one(
    server: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    with running(server, namespace, tmp_path / "a") as a, running(server, namespace, tmp_path / "b") as b:
        both = (a, b)
        await eventually(lambda: any(one.leads for one in both))
        with server.frozen():
            await eventually(lambda: not any(one.leads for one in both))
        await eventually(lambda: any(one.leads for one in both))
        since = max(moment for one in both for moment in one.times)
        await eventually(lambda: max(moment for one in both for moment in one.times) > since + 0.5)
        assert [one.leads for one in both].count(True) == 1

        lease = await client.get(ObjectKey("Lease", namespace, "edgerun"))
        assert lease["spec"]["holderIdentity"] == next(one.output.name for one in both if one.leads)
        assert lease["spec"]["leaseDurationSeconds"] == LEASE_S
