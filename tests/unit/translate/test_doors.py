"""What is asked of pods that a request waits for: pods as an API server has them, made by our own Deployments."""

from typing import Any

import msgspec
import pytest

from edgerun.api.meta import ObjectKey
from edgerun.api.originservice import GUARD_PROBES_PORT, OriginService
from edgerun.api.pods import Pod
from edgerun.translate.doors import Door, Question, door, door_ports
from edgerun.translate.guard_pods import sidecar
from edgerun.translate.listeners import READY_PATH
from edgerun.translate.workloads import origin_deployment
from support.objects import PLACE, origin_service, run

ADDRESS = "10.244.0.7"
HEALTH = {"port": 81, "path": "/healthz"}


def pod(service: OriginService, *, guarded: bool = False, **status: Any) -> Pod:
    guard = sidecar(service, PLACE, "shops.example") if guarded else None
    template = origin_deployment(run(service), sidecar=guard)["spec"]["template"]
    metadata = {"name": "cart-1", "namespace": "shop", "labels": template["metadata"]["labels"]}
    raw = {"metadata": metadata, "spec": template["spec"], "status": {"podIP": ADDRESS, **status}}
    return msgspec.convert(raw, Pod)


def asked(*, guarded: bool = False, **container: Any) -> tuple[Question, ...]:
    found = door(pod(origin_service("cart", **container), guarded=guarded))
    return found.questions if found else ()


def to_zero(service: OriginService, **pod_spec: Any) -> OriginService:
    raw = msgspec.to_builtins(service)
    raw["spec"] |= {"scaling": {"minScale": 0}}
    raw["spec"]["template"]["spec"] |= pod_spec
    return msgspec.convert(raw, OriginService)


def state(name: str = "app", *, restarts: int = 0, **state: Any) -> dict[str, Any]:
    return {"name": name, "restartCount": restarts, "state": state or {"running": {}}}


def test_a_pod_is_asked_as_soon_as_it_has_an_address() -> None:
    service = origin_service("cart")
    assert door(pod(service, podIP="")) is None
    assert door(pod(service)) == Door(ObjectKey("Pod", "shop", "cart-1"), ADDRESS, 0, (Question(8080),))


def test_it_is_asked_what_its_probe_asks() -> None:
    assert asked(ports=[{"containerPort": 9000}]) == (Question(9000),)
    assert asked(readinessProbe={"tcpSocket": {"port": 81}}) == (Question(81),)
    headers = [{"name": "Host", "value": "cart.example"}]
    get = {**HEALTH, "scheme": "HTTPS", "httpHeaders": headers}
    assert asked(readinessProbe={"httpGet": get}) == (Question(81, "/healthz", (("Host", "cart.example"),), tls=True),)
    assert asked(readinessProbe={"httpGet": {"path": "ready"}}) == (Question(8080, "/ready"),)


def test_a_port_may_have_a_name() -> None:
    ports = [{"containerPort": 80}, {"name": "health", "containerPort": 81}]
    assert asked(ports=ports, readinessProbe={"tcpSocket": {"port": "health"}}) == (Question(81),)
    assert asked(ports=ports, readinessProbe={"tcpSocket": {"port": "unknown"}}) == ()


def test_a_guard_is_asked_beside_its_app() -> None:
    assert set(asked(guarded=True)) == {Question(8080), Question(GUARD_PROBES_PORT, READY_PATH)}


@pytest.mark.parametrize(
    "container",
    [
        {"readinessProbe": {"exec": {"command": ["true"]}}},
        {"readinessProbe": {"grpc": {"port": 8080}}},
        {"readinessProbe": {"httpGet": {**HEALTH, "host": "elsewhere.example"}}},
        {"readinessProbe": {"tcpSocket": {"host": "elsewhere.example"}}},
        {"readinessProbe": {"httpGet": HEALTH, "initialDelaySeconds": 5}},
        {"readinessProbe": {"httpGet": HEALTH, "successThreshold": 2}},
        {"startupProbe": {"httpGet": HEALTH}},
    ],
)
def test_what_cannot_be_asked_from_outside_is_left_to_the_kubelet(container: dict[str, Any]) -> None:
    assert asked(**container) == asked(guarded=True, **container) == ()
    assert door_ports(to_zero(origin_service("cart", **container))) == frozenset()


def test_nobody_knocks_at_a_node() -> None:
    service = to_zero(origin_service("cart"), hostNetwork=True)
    assert door(pod(service)) is None
    assert door_ports(service) == frozenset()


def test_all_containers_that_last_are_asked() -> None:
    beside = {"name": "beside", "image": "beside:1"}
    probed = {**beside, "readinessProbe": {"tcpSocket": {"port": 82}}}
    service = origin_service("cart")
    app = msgspec.to_builtins(service.container)
    for more, ports in (
        ({"containers": [app, beside]}, {8080}),
        ({"containers": [app, probed]}, {8080, 82}),
        ({"initContainers": [{**probed, "restartPolicy": "Always"}]}, {8080, 82}),
        ({"initContainers": [beside]}, {8080}),
    ):
        made = to_zero(service, **more)
        found = door(pod(made))
        assert found
        assert {one.port for one in found.questions} == ports
        assert door_ports(made) == ports | {GUARD_PROBES_PORT}


def test_an_answer_is_that_of_one_life() -> None:
    service = origin_service("cart")
    creating = state(waiting={"reason": "ContainerCreating"})
    lives = [door(pod(service, containerStatuses=[one])) for one in (creating, state(), state(restarts=1))]
    assert lives[0] == lives[1] != lives[2]
    assert door(pod(service, containerStatuses=[state(terminated={"exitCode": 1})])) is None


def test_nobody_knocks_at_a_pod_that_its_node_would_not_keep() -> None:
    assert door(pod(origin_service("cart"), phase="Failed", reason="Evicted")) is None


def test_an_init_container_that_is_done_is_no_end() -> None:
    done = state("migrate", terminated={"exitCode": 0})
    assert door(pod(origin_service("cart"), initContainerStatuses=[done], containerStatuses=[state()]))


def test_who_waits_for_more_than_probes_is_left_to_the_kubelet() -> None:
    raw = msgspec.to_builtins(pod(origin_service("cart")))
    raw["spec"]["readinessGates"] = [{"conditionType": "shop.example/registered"}]
    assert door(msgspec.convert(raw, Pod)) is None


def test_at_what_keeps_a_replica_nobody_knocks() -> None:
    assert door_ports(origin_service("cart")) == frozenset()
