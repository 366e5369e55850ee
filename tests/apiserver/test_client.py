"""What the client says to an API server, and what it makes of the answers."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from edgerun.api.meta import ObjectKey
from edgerun.errors import (
    ConflictError,
    ForbiddenError,
    InvalidError,
    NotFoundError,
    SettingsError,
    UnavailableError,
)
from edgerun.infra.kubernetes import client as module
from edgerun.infra.kubernetes.client import Client, Object, connected
from support.apiserver import ApiServer, edge_route, key_of, kubeconfig
from support.faults import FaultyApi


def config_map(namespace: str, name: str = "a", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


async def test_apply_creates_and_changes_and_takes_back_what_it_no_longer_sends(client: Client, namespace: str) -> None:
    await client.apply(config_map(namespace, x="1", y="2"))
    stored = await client.apply(config_map(namespace, x="3"))
    assert stored["data"] == {"x": "3"}
    assert [field["manager"] for field in stored["metadata"]["managedFields"]] == ["edgerun"]


async def test_apply_of_the_same_again_writes_nothing(client: Client, namespace: str) -> None:
    first = await client.apply(config_map(namespace, x="1"))
    assert await client.apply(config_map(namespace, x="1")) == first


async def test_apply_wins_over_another_field_manager(client: Client, namespace: str) -> None:
    theirs = await client.create(config_map(namespace, x="theirs"))
    await client.replace({**theirs, "data": {"x": "still theirs"}})
    assert (await client.apply(config_map(namespace, x="ours")))["data"] == {"x": "ours"}


async def test_status_is_applied_apart_from_the_spec(client: Client, namespace: str) -> None:
    route = edge_route(namespace, "web")
    before = await client.create(route)
    condition = {"type": "Ready", "status": "True", "reason": "Serving", "message": "", "observedGeneration": 1}
    condition["lastTransitionTime"] = "2026-01-01T00:00:00Z"
    status = {**route, "spec": {}, "status": {"conditions": [condition]}}
    after = await client.apply_status(status)
    assert after["status"]["conditions"] == [condition]
    assert after["spec"] == before["spec"]
    assert after["metadata"]["generation"] == 1


async def test_a_field_that_nobody_knows_is_refused_and_named(client: Client, namespace: str) -> None:
    wrong = {**config_map(namespace), "dta": {"x": "1"}}
    with pytest.raises(InvalidError, match=r"\.dta: field not declared"):
        await client.apply(wrong)
    with pytest.raises(InvalidError, match='unknown field "dta"'):
        await client.create(wrong)


async def test_creating_what_is_there_is_a_conflict(client: Client, namespace: str) -> None:
    await client.create(config_map(namespace))
    with pytest.raises(ConflictError, match="already exists"):
        await client.create(config_map(namespace))


async def test_replacing_a_version_that_is_no_more_is_a_conflict(client: Client, namespace: str) -> None:
    old = await client.create(config_map(namespace, x="1"))
    await client.replace({**old, "data": {"x": "2"}})
    with pytest.raises(ConflictError, match="modified"):
        await client.replace({**old, "data": {"x": "3"}})


async def test_delete_spares_a_successor_of_the_same_name(client: Client, namespace: str) -> None:
    first = await client.create(config_map(namespace))
    await client.delete(key_of(first), first["metadata"]["uid"])
    second = await client.create(config_map(namespace))
    with pytest.raises(ConflictError):
        await client.delete(key_of(first), first["metadata"]["uid"])
    assert await client.get(key_of(second)) == second


async def test_deleting_what_is_gone_is_fine(client: Client, namespace: str) -> None:
    await client.delete(ObjectKey("ConfigMap", namespace, "never"), "some-uid")


async def test_what_is_not_there_is_not_found(client: Client, namespace: str) -> None:
    with pytest.raises(NotFoundError, match='configmaps "never" not found'):
        await client.get(ObjectKey("ConfigMap", namespace, "never"))


async def test_a_list_has_all_pages_and_says_what_its_items_are(
    client: Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PAGE", 2)
    for name in "abcde":
        await client.create(config_map(namespace, name))
    found = await client.list_("ConfigMap", namespace=namespace)
    assert [one["metadata"]["name"] for one in found] == list("abcde")
    assert {(one["apiVersion"], one["kind"]) for one in found} == {("v1", "ConfigMap")}


async def test_a_list_can_be_narrowed_by_labels(client: Client, namespace: str) -> None:
    labelled = config_map(namespace, "b")
    labelled["metadata"]["labels"] = {"owner": "edgerun"}
    await client.create(config_map(namespace, "a"))
    await client.create(labelled)
    found = await client.list_("ConfigMap", namespace=namespace, label_selector="owner=edgerun")
    assert [one["metadata"]["name"] for one in found] == ["b"]


async def test_a_token_is_reviewed(client: Client) -> None:
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "made up"}}
    assert not (await client.create(review))["status"].get("authenticated")


async def token(client: Client, namespace: str) -> str:
    """A token of a ServiceAccount that may do nothing."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "weak", "namespace": namespace}}
    await client.apply(account)
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/weak/token"
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    answer = await client._call("POST", path, body=request, timeout_s=5)
    return str(answer["status"]["token"])


async def test_what_is_forbidden_is_said_in_the_words_of_the_server(
    server: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    address = (await module.access(server.kubeconfig)).server
    config = kubeconfig(tmp_path / "config", address, token=await token(client, namespace))
    async with connected(config) as weak:
        with pytest.raises(ForbiddenError, match=f'serviceaccount:{namespace}:weak" cannot list resource "secrets"'):
            await weak.list_("Secret", namespace=namespace)


async def test_credentials_that_are_refused_are_read_anew(
    server: ApiServer, client: Client, namespace: str, tmp_path: Path
) -> None:
    address = (await module.access(server.kubeconfig)).server
    config = kubeconfig(tmp_path / "config", address, token="expired")
    review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": "x"}}
    async with connected(config) as renewed:
        with pytest.raises(ForbiddenError, match="Unauthorized"):
            await renewed.create(review)
        kubeconfig(config, address, token=await token(client, namespace))
        with pytest.raises(ForbiddenError, match=f"serviceaccount:{namespace}:weak"):  # known now, and may not
            await renewed.create(review)
    assert (await module.access(config)).token != "expired"


async def test_a_pod_is_its_service_account_and_follows_its_token(
    server: ApiServer, client: Client, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = await module.access(server.kubeconfig)
    host, port = found.server.removeprefix("https://").split(":")
    file = tmp_path / "token"
    file.write_text("expired")
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
    monkeypatch.setattr("kubernetes.aio.config.incluster_config.SERVICE_TOKEN_FILENAME", str(file))
    monkeypatch.setattr("kubernetes.aio.config.incluster_config.SERVICE_CERT_FILENAME", found.ca_file)
    async with connected() as pod:
        file.write_text(await token(client, namespace))
        with pytest.raises(ForbiddenError, match=f"serviceaccount:{namespace}:weak"):
            await pod.list_("Secret", namespace=namespace)
    told = await module.access()
    assert (told.server, told.ca_file, told.token) == (found.server, found.ca_file, file.read_text())


async def test_a_server_that_cannot_be_reached_is_unavailable(faulty: FaultyApi, tmp_path: Path) -> None:
    async with connected(kubeconfig(tmp_path / "config", faulty.address)) as client:
        assert await client.list_("Namespace")
        faulty.down = True
        with pytest.raises(UnavailableError):
            await client.list_("Namespace")
        faulty.down = False
        assert await client.list_("Namespace")


async def test_a_server_that_hangs_is_given_up_on_time(server: ApiServer, client: Client, namespace: str) -> None:
    with server.frozen(), pytest.raises(UnavailableError, match=r"no answer within 0\.3 s"):
        await client.list_("Namespace", timeout_s=0.3)
    assert await client.list_("Namespace")


async def test_it_knows_what_time_the_server_has(server: ApiServer) -> None:
    async with connected(server.kubeconfig) as client:
        assert client.server_time() is None, "nothing was asked so far"
        for _ in range(3):
            await client.list_("Namespace")
            told = client.server_time()
            assert told
            assert abs(told - datetime.now(UTC)) < timedelta(minutes=1), "it runs on this machine"
        with server.frozen(), pytest.raises(UnavailableError):
            await client.list_("Namespace", timeout_s=1.2)
        later = client.server_time()
        assert later
        assert later - told > timedelta(seconds=1), "it is counted on while the server is silent"


async def test_an_error_tells_the_time_too(server: ApiServer, namespace: str) -> None:
    async with connected(server.kubeconfig) as client:
        with pytest.raises(NotFoundError):
            await client.get(ObjectKey("ConfigMap", namespace, "b"))
        assert client.server_time()


async def test_every_request_is_told_to_who_observes(server: ApiServer, namespace: str) -> None:
    seen: list[tuple[str, int, float]] = []
    async with connected(server.kubeconfig, observer=lambda *request: seen.append(request)) as client:
        await client.apply(config_map(namespace))
        with pytest.raises(NotFoundError):
            await client.get(ObjectKey("ConfigMap", namespace, "b"))
        with server.frozen(), pytest.raises(UnavailableError):
            await client.list_("Namespace", timeout_s=0.3)
    assert [(method, status) for method, status, _ in seen] == [("PATCH", 201), ("GET", 404), ("GET", 0)]
    assert all(seconds > 0 for _, _, seconds in seen)


async def test_a_missing_kubeconfig_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nowhere"):
        async with connected(tmp_path / "nowhere"):
            pass
