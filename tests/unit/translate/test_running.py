"""How many replicas follow from what was decided, from what runs, and from what the user set."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from edgerun.api.originservice import OriginService, Replicas
from edgerun.translate.observed import origin_observation
from edgerun.translate.phases import OriginPhase
from edgerun.translate.revisions.replicas import Need, Role
from edgerun.translate.revisions.wishes import first_look
from edgerun.translate.running import LOCAL_MOST
from edgerun.translate.translator import translate
from edgerun.translate.world import Endpoint, Epoch, Installation, OriginObservation, Sleep
from support.objects import origin_service, world

PLACE = Installation(namespace="edgerun-system", image="edgerun")


def scaled(**scaling: Any) -> OriginService:
    service = origin_service("cart")
    spec = msgspec.to_builtins(service.spec) | {"scaling": scaling}
    return msgspec.convert({"metadata": {"name": "cart", "namespace": "shop"}, "spec": spec}, OriginService)


def observed(running: int | None, ready: int = 0) -> OriginObservation:
    endpoints = tuple(Endpoint(f"10.0.0.{number}", 8080) for number in range(ready))
    return OriginObservation(OriginPhase.READY, endpoints, replicas=running)


@pytest.mark.parametrize(
    ("scaling", "decided", "running", "wanted"),
    [
        ({}, None, None, 1),
        ({"initialScale": 4}, None, None, 4),
        ({"minScale": 2}, None, None, 2),
        ({}, None, 8, 8),
        ({"maxScale": 5}, None, 8, 5),
        ({"minScale": 3}, 1, 8, 3),
        ({}, 2, 8, 2),
        ({}, 1000, 8, 100),
        ({"minScale": 200}, 1, 1, 200),
        ({"minScale": 4, "maxScale": 4}, 9, 1, 4),
    ],
)
def test_the_decision_counts_within_the_bounds_and_before_it_what_runs(
    scaling: dict[str, Any], decided: int | None, running: int | None, wanted: int
) -> None:
    service = scaled(**scaling)
    scales = {} if decided is None else {service.key: decided}
    here = world(service, scales=scales, observations={service.key: observed(running)}, installation=PLACE)
    plan = translate(here)
    (deployment,) = [one for one in plan.manifests if one["kind"] == "Deployment"]
    (run,) = plan.running
    assert deployment["spec"]["replicas"] == run.replicas == wanted


@pytest.mark.parametrize(
    ("epoch", "wanted", "before"),
    [
        (Epoch(3, next=7), 1, 3),
        (Epoch(0, next=7), 1, 0),
        (Epoch(7, Sleep.CLOSING, before=3), 1, 3),
        (Epoch(7, Sleep.ASLEEP), 0, None),
        (Epoch(7, Sleep.WAKING), 2, None),
        (Epoch(3, Sleep.WAKING, next=7), 2, 3),
        (Epoch(7), 1, None),
    ],
)
def test_who_sleeps_has_none_and_the_deployment_tells_the_epoch(epoch: Epoch, wanted: int, before: int | None) -> None:
    service = scaled(minScale=0, activationScale=2)
    looked = replace(first_look(service), needs=(Need("cart-00001", Role.ROUTED, 0, reachable=True),))
    here = world(
        service,
        scales={service.key: 0},
        epochs={service.key: epoch},
        observations={service.key: observed(1)},
        revised={service.key: looked},
        installation=PLACE,
    )
    plan = translate(here)
    (deployment,) = [one for one in plan.manifests if one["kind"] == "Deployment"]
    assert deployment["spec"]["replicas"] == wanted
    seen = origin_observation(service, "cart-00001", deployment, ())
    assert (seen.epoch, seen.before) == (7, before)


@pytest.mark.parametrize(("least", "wanted"), [(0, 0), (1, 1)])
def test_what_was_stopped_is_not_started_while_its_next_name_is_written(least: int, wanted: int) -> None:
    service = scaled(minScale=0)
    looked = replace(first_look(service), needs=(Need("cart-00001", Role.ROUTED, least, reachable=True),))
    (run,) = translate(
        world(
            service,
            epochs={service.key: Epoch(3, next=7)},
            observations={service.key: observed(0)},
            revised={service.key: looked},
        )
    ).running
    assert (run.replicas, run.epoch, run.before) == (wanted, 7, 3)


def test_a_machine_has_no_room_for_a_hundred_processes() -> None:
    service = scaled(minScale=50)
    (run,) = translate(world(service, scales={service.key: 99})).running
    assert run.replicas == LOCAL_MOST


def test_it_is_told_how_many_there_should_be_and_how_many_take_requests() -> None:
    service = scaled()
    here = world(service, scales={service.key: 5}, observations={service.key: observed(5, ready=3)}, installation=PLACE)
    assert translate(here).verdicts[service.key].replicas == Replicas(desired=5, ready=3)
