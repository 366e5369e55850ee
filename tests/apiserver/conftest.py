"""Everything here asks a real kube-apiserver; without its programs it is skipped, and says so."""

import asyncio
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from edgerun.infra.kubernetes.client import WRITE_S, Client
from edgerun.infra.kubernetes.connection import configuration
from support import apiserver
from support.apiserver import ApiServer
from support.faults import FaultyApi


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.apiserver)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    reason = apiserver.missing()
    if reason:
        pytest.skip(f"no test asks a real API server: {reason}")
    with apiserver.running(tmp_path_factory.mktemp("apiserver")) as running:
        asyncio.run(apiserver.install_crds(running))
        yield running


class Patient(Client):
    """What gives up after seconds, as an operator does, is no judge of a busy machine."""

    async def _call(self, *request: Any, timeout_s: float, **others: Any) -> Any:
        return await super()._call(*request, timeout_s=60 if timeout_s >= WRITE_S else timeout_s, **others)


@pytest.fixture
async def client(server: ApiServer) -> AsyncIterator[Client]:
    client = Patient(await configuration(server.kubeconfig, ""), server.kubeconfig)
    try:
        yield client
    finally:
        await client.close()


@pytest.fixture
async def namespace(client: Client) -> str:
    """A namespace that nobody else uses."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    await client.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    return name


@pytest.fixture
async def faulty(server: ApiServer) -> AsyncIterator[FaultyApi]:
    """The same API server behind a proxy that fails on demand and remembers what was asked."""
    async with FaultyApi.before(server.kubeconfig) as faulty:
        yield faulty
