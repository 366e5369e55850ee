"""`edgerun rollout`, and then the user's own file again, as whoever keeps it in git applies it every few minutes."""

import asyncio
import subprocess
from dataclasses import dataclass
from typing import Any

import pytest
import yaml

from edgerun import cli
from edgerun.api import API_VERSION
from edgerun.api.meta import ObjectKey
from edgerun.infra.kubernetes.client import Client, Object
from edgerun.translate.labels import ORIGIN_SERVICE
from edgerun.translate.revisions.wishes import ORDER
from support.apiserver import ApiServer
from support.chart import ask

ONE, TWO = "cart-00001", "cart-00002"
NOW = "2026-01-01T00:00:00Z"
TEMPLATE = {"spec": {"containers": [{"image": "cart:1"}]}}
LATEST = [{"latestRevision": True, "percent": 100}]
READY = {"type": "Ready", "status": "True", "reason": "Ready", "message": "", "lastTransitionTime": NOW}
BOTH_WAYS = pytest.mark.parametrize("way", ["--server-side", "--server-side=false"])


@dataclass(frozen=True, slots=True)
class File:
    """The YAML of an OriginService that is being rolled out, with a `spec.traffic` or without."""

    server: ApiServer
    client: Client
    namespace: str
    way: str
    traffic: Any = None

    @property
    def text(self) -> str:
        spec = {"template": TEMPLATE} | ({"traffic": self.traffic} if self.traffic else {})
        return yaml.safe_dump(_object("OriginService", self.namespace, "cart", spec=spec))

    async def applied(self, *flags: str) -> subprocess.CompletedProcess[str]:
        command = ("apply", self.way, *flags, "-f", "-")
        return await asyncio.to_thread(ask, self.server, "kubectl", *command, stdin=self.text)

    async def rolling(self) -> None:
        """Applied, and the second revision has a part of the requests; an operator would write the same."""
        done = await self.applied()
        assert done.returncode == 0, done.stderr
        for number, name in enumerate((ONE, TWO), start=1):
            made = _object("OriginRevision", self.namespace, name)
            made["metadata"]["labels"] = {ORIGIN_SERVICE: "cart"}
            await self.client.create({**made, "spec": {"template": TEMPLATE, "number": number}})
            await self.client.apply_status({**made, "status": {"proven": True, "conditions": [READY]}})
        shares = [{"revisionName": ONE, "percent": 88}, {"revisionName": TWO, "percent": 12}]
        status = {
            "latestCreatedRevisionName": TWO,
            "latestReadyRevisionName": TWO,
            "traffic": shares,
            "rollout": {"goal": TWO, "shares": shares, "begun": NOW},
        }
        await self.client.apply_status(_object("OriginService", self.namespace, "cart") | {"status": status})

    async def found(self) -> Object:
        return await self.client.get(ObjectKey("OriginService", self.namespace, "cart"))

    async def rollout(self, *words: str) -> int:
        where = ("--namespace", self.namespace, "--kubeconfig", str(self.server.kubeconfig))
        return await asyncio.to_thread(cli.main, ["rollout", words[0], "cart", *where, *words[1:]])


def _object(kind: str, namespace: str, name: str, **parts: Any) -> dict[str, Any]:
    metadata = {"name": name, "namespace": namespace}
    return {"apiVersion": API_VERSION, "kind": kind, "metadata": metadata, **parts}


@BOTH_WAYS
@pytest.mark.parametrize("traffic", [None, LATEST], ids=["without traffic", "with traffic"])
async def test_an_order_outlives_each_apply_of_the_file(
    server: ApiServer, client: Client, namespace: str, way: str, traffic: Any
) -> None:
    file = File(server, client, namespace, way, traffic)
    await file.rolling()
    for verb in ("undo", "promote"):
        assert await file.rollout(verb) == 0
        done = await file.applied()
        assert done.returncode == 0, done.stderr
        assert (await file.found())["metadata"]["annotations"][ORDER] == f"{verb}/{TWO}"


@BOTH_WAYS
async def test_a_file_without_traffic_leaves_it_where_it_was_led_until_somebody_lets_go(
    server: ApiServer, client: Client, namespace: str, way: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = File(server, client, namespace, way)
    await file.rolling()
    assert await file.rollout("undo", "--to", ONE) == 0
    done = await file.applied()
    assert done.returncode == 0, done.stderr
    assert (await file.found())["spec"]["traffic"] == [{"revisionName": ONE, "percent": 100}]
    let_go = ("patch", "originservice", "cart", "--type", "merge", "-p", '{"spec":{"traffic":null}}')
    assert f"kubectl -n {namespace} {' '.join(let_go[:-1])} '{let_go[-1]}'" in capsys.readouterr().out
    assert (await asyncio.to_thread(ask, server, "kubectl", "-n", namespace, *let_go)).returncode == 0
    assert (await file.applied()).returncode == 0
    assert "traffic" not in (await file.found())["spec"]


async def test_a_server_side_apply_of_traffic_is_refused_in_the_name_of_the_command_until_both_say_the_same(
    server: ApiServer, client: Client, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = File(server, client, namespace, "--server-side", LATEST)
    await file.rolling()
    assert await file.rollout("undo", "--to", ONE) == 0
    assert "! spec.traffic was that of kubectl: " in capsys.readouterr().out
    refused = await file.applied()
    assert refused.returncode != 0
    assert f'conflict with "edgerun-rollout" using {API_VERSION}: .spec.traffic' in refused.stderr
    led = [{"revisionName": ONE, "percent": 100}]
    assert (await file.found())["spec"]["traffic"] == led
    done = await File(server, client, namespace, "--server-side", led).applied()
    assert done.returncode == 0, done.stderr
    assert (await file.applied("--force-conflicts")).returncode == 0
    assert (await file.found())["spec"]["traffic"] == LATEST


async def test_a_client_side_apply_of_traffic_takes_it_back_and_that_was_said_before(
    server: ApiServer, client: Client, namespace: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = File(server, client, namespace, "--server-side=false", LATEST)
    await file.rolling()
    assert await file.rollout("undo", "--to", ONE) == 0
    assert "! spec.traffic was that of kubectl-client-side-apply: " in capsys.readouterr().out
    assert (await file.applied()).returncode == 0
    assert (await file.found())["spec"]["traffic"] == LATEST
