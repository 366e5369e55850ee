"""The golden files of Deployments at an API server: it keeps what users write, and takes what is made of it."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from edgerun.api.admission import admit
from edgerun.api.originservice import OriginService
from edgerun.api.resources import RESOURCES
from edgerun.errors import InvalidError
from edgerun.infra.kubernetes.client import Client
from support.golden import cases

GOLDEN = Path(__file__).parents[1] / "golden" / "workloads"


async def judge(client: Client, manifest: dict[str, Any], namespace: str) -> Any:
    """The object as the server would store it."""
    placed = manifest | {"metadata": manifest["metadata"] | {"namespace": namespace}}
    query = {"fieldValidation": "Strict", "dryRun": "All"}
    path = RESOURCES[manifest["kind"]].path(namespace)
    return await client._call("POST", path, query=query, body=placed, timeout_s=10)


@pytest.mark.parametrize("case", cases(GOLDEN))
async def test_the_server_keeps_every_field_and_fills_in_what_we_fill_in(
    client: Client, namespace: str, case: str
) -> None:
    raw = yaml.safe_load((GOLDEN / f"{case}.in.yaml").read_text())
    stored, ours = admit(await judge(client, raw, namespace)).object, admit(raw).object
    assert isinstance(stored, OriginService)
    assert isinstance(ours, OriginService)
    assert stored.spec == ours.spec


@pytest.mark.parametrize("case", cases(GOLDEN))
async def test_the_server_takes_the_deployment_as_it_is(client: Client, namespace: str, case: str) -> None:
    manifest = yaml.safe_load((GOLDEN / f"{case}.out.yaml").read_text())
    made = await judge(client, manifest, namespace)
    first = made["spec"]["template"]["spec"]["containers"][0]
    assert [variable["name"] for variable in first["env"]][:2] == ["PORT", "K_SERVICE"]


async def test_the_server_names_what_is_misspelt_deep_down(client: Client, namespace: str) -> None:
    manifest = yaml.safe_load((GOLDEN / "sidecars.out.yaml").read_text())
    manifest["spec"]["template"]["spec"]["volumes"] = [{"name": "data", "emptyDirectory": {}}]
    with pytest.raises(InvalidError, match=r'unknown field "spec\.template\.spec\.volumes\[0\]\.emptyDirectory"'):
        await judge(client, manifest, namespace)
