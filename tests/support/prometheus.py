"""A real Prometheus for tests, and its promtool, as Debian packages them; tools/prometheus.sh fetches them.

Trap: it hands its targets out every five seconds, so the first scrape is that late, whatever the interval.
"""

import asyncio
import json
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from tools.cluster.places import cache

from .poll import eventually
from .ports import free_port

INTERVAL = "200ms"
STARTS_S = 60.0  # until it has scraped for the first time
LINTS = 3  # the exit code of promtool for what it can read but does not like


def missing() -> str:
    """Why there can be no Prometheus on this machine; "" when there can."""
    there = program("prometheus") and program("promtool")
    return "" if there else "prometheus and promtool are missing; on Debian: tools/prometheus.sh"


def program(name: str) -> Path | None:
    """Where it is: installed, or in the cache."""
    found = shutil.which(name) or shutil.which(name, path=str(cache() / "prometheus" / "usr" / "bin"))
    return Path(found) if found else None


@dataclass(frozen=True, slots=True)
class Prometheus:
    session: aiohttp.ClientSession

    async def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The series of an instant vector: their labels, without the name, and their values."""
        async with self.session.get("/api/v1/query", params={"query": expression}) as answer:
            said = await answer.json()
        assert said["status"] == "success", said
        return [
            ({key: value for key, value in one["metric"].items() if key != "__name__"}, float(one["value"][1]))
            for one in said["data"]["result"]
        ]

    async def value(self, expression: str) -> float | None:
        """Of the only series, None while there is none."""
        found = await self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    async def targets(self) -> dict[str, str]:
        """Of each job, the last error of a scrape."""
        async with self.session.get("/api/v1/targets") as answer:
            said = json.loads(await answer.text())
        return {one["labels"]["job"]: one["lastError"] for one in said["data"]["activeTargets"]}


@asynccontextmanager
async def prometheus(directory: Path, targets: Mapping[str, int | str]) -> AsyncIterator[Prometheus]:
    """It scrapes `/metrics` of each port of this machine, or HOST:PORT, every 200 ms, as the job of that name."""
    config, port = directory / "prometheus.yml", free_port()
    config.write_text(yaml.safe_dump(_config(targets)))
    command = (
        program("prometheus") or "prometheus",
        f"--config.file={config}",
        f"--storage.tsdb.path={directory / 'tsdb'}",
    )
    process = await asyncio.create_subprocess_exec(
        *command, f"--web.listen-address=127.0.0.1:{port}", "--log.level=error", start_new_session=True
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
            await eventually(lambda: _ready(session, process), what="Prometheus is ready")
            yield Prometheus(session)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def lint(text: bytes) -> tuple[int, str]:
    """What `promtool check metrics` says: its exit code and its words."""
    return await asyncio.to_thread(_lint, text)


def _lint(text: bytes) -> tuple[int, str]:
    done = subprocess.run([program("promtool") or "promtool", "check", "metrics"], input=text, capture_output=True)
    return done.returncode, (done.stdout + done.stderr).decode()


async def _ready(session: aiohttp.ClientSession, process: asyncio.subprocess.Process) -> bool:
    assert process.returncode is None, "Prometheus ended"
    async with session.get("/-/ready") as answer:
        return answer.status == 200


def _config(targets: Mapping[str, int | str]) -> dict[str, Any]:
    addresses = {name: f"127.0.0.1:{one}" if isinstance(one, int) else one for name, one in targets.items()}
    jobs = [{"job_name": name, "static_configs": [{"targets": [address]}]} for name, address in addresses.items()]
    return {"global": {"scrape_interval": INTERVAL, "scrape_timeout": INTERVAL}, "scrape_configs": jobs}
