"""What is said of an origin, held against what a real kubelet, scheduler and admission make of its Deployment."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from edgerun.api.originservice import OriginService
from edgerun.translate.names import revision_key
from edgerun.translate.observed import origin_observation
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import Running
from edgerun.translate.workloads import origin_deployment
from edgerun.translate.world import OriginObservation, Rolled
from support.poll import eventually_sync

Kubectl = Callable[..., str]

FAILED, STARTING, READY = OriginPhase.FAILED, OriginPhase.STARTING, OriginPhase.READY
ALLOWED = {"runAsNonRoot": True, "runAsUser": 65532}
WITHIN_S = 60
NAME = "cart-00001"

pytestmark = pytest.mark.cluster


class Origin:
    """One revision of an OriginService, as the operator would run it; there is nobody that owns the Deployment."""

    def __init__(self, kubectl: Kubectl) -> None:
        self._kubectl = kubectl
        asked = ("create", "configmap", "a", "--dry-run=client", "--output=jsonpath={.metadata.namespace}")
        self._namespace = kubectl(*asked)
        self._generation = 0

    def apply(
        self, image: str, *, replicas: int = 1, mark: str = "", beside: dict[str, Any] | None = None, **container: Any
    ) -> None:
        """`mark` is of the Secrets and ConfigMaps that the pods read: another one replaces them."""
        self._generation += 1
        first = {"image": image, "command": ["/probe"], "securityContext": ALLOWED, **container}
        template = {"spec": {"containers": [first], **(beside or {})}}
        metadata = {"name": "cart", "namespace": self._namespace, "generation": self._generation}
        spec = {"scaling": {"minScale": replicas}, "template": template}
        self.service = msgspec.convert({"metadata": metadata, "spec": spec}, OriginService)
        run = Running(revision_key(self.service.key, NAME), self.service, replicas)
        made = origin_deployment(run, Rolled(mark=mark))
        del made["metadata"]["ownerReferences"]
        self._kubectl("apply", "--server-side", "--validate=strict", "--filename=-", stdin=json.dumps(made))

    def seen(self) -> OriginObservation:
        deployment, pods = self._kubectl("get", f"deployment/{NAME}", "--output=json"), self._listed("pods")
        return origin_observation(self.service, NAME, json.loads(deployment), pods)

    def until(self, phase: OriginPhase, reason: str = "", said: str = "") -> OriginObservation:
        def reached() -> OriginObservation:
            seen = self.seen()
            assert (seen.phase, seen.reason) == (phase, reason), seen
            assert said in seen.message
            return seen

        return eventually_sync(reached, within_s=WITHIN_S, step_s=0.2)

    def _listed(self, kind: str) -> list[dict[str, Any]]:
        listed: list[dict[str, Any]] = json.loads(self._kubectl("get", kind, "--output=json"))["items"]
        return listed


@pytest.fixture
def origin(kubectl: Kubectl) -> Origin:
    return Origin(kubectl)


def test_a_replica_is_ready_and_reached_where_it_says(origin: Origin, probe: str, kubectl: Kubectl) -> None:
    origin.apply(probe)
    (endpoint,) = origin.until(READY).endpoints
    assert kubectl("exec", f"deployment/{NAME}", "--", "/probe", "get", f"http://{endpoint.address}:{endpoint.port}/")


@pytest.mark.parametrize(
    ("container", "reason", "said"),
    [
        ({"image": "edgerun.dev/nothing:1"}, "ImagePullBackOff", "edgerun.dev/nothing:1"),
        ({"image": "Not/A:Name"}, "InvalidImageName", "Not/A:Name"),
        ({"command": ["/probe", "get", "http://127.0.0.1:1/"]}, "CrashLoopBackOff", "exit code 1:\nGet "),
        ({"command": ["/nothing"]}, "RunContainerError", "no such file or directory"),
        (
            {"env": [{"name": "A", "valueFrom": {"secretKeyRef": {"name": "none", "key": "b"}}}]},
            "CreateContainerConfigError",
            'secret "none" not found',
        ),
        (
            {"command": ["/probe", "fill", "200"], "resources": {"limits": {"memory": "40Mi"}}},
            "CrashLoopBackOff",
            "exit code 137 (OOMKilled)",
        ),
        ({"securityContext": {}}, "PodsForbidden", "must set securityContext.runAsNonRoot=true"),
        (
            {"ports": [{"containerPort": 8080, "hostPort": 8080}]},
            "PodsForbidden",
            'hostPort (container "app" uses hostPort 8080)',
        ),
    ],
)
def test_what_goes_wrong_is_told(origin: Origin, probe: str, container: dict[str, Any], reason: str, said: str) -> None:
    origin.apply(**{"image": probe, **container})
    assert origin.until(FAILED, reason, said).endpoints == ()


def test_an_init_container_that_fails_is_told(origin: Origin, probe: str) -> None:
    migrate = {"name": "migrate", "image": probe, "command": ["/probe", "get", "x"], "securityContext": ALLOWED}
    origin.apply(probe, beside={"initContainers": [migrate]})
    origin.until(FAILED, "CrashLoopBackOff", 'container "migrate": exit code 1:\n')


def test_a_port_that_nobody_listens_on_is_named(origin: Origin, probe: str) -> None:
    origin.apply(probe, ports=[{"containerPort": 9999}])
    origin.until(STARTING, said="a connection to port 9999")


def test_a_pod_that_no_node_has_room_for_is_told(origin: Origin, probe: str) -> None:
    origin.apply(probe, resources={"requests": {"cpu": "900"}})
    origin.until(STARTING, "Unschedulable", "Insufficient cpu")


def test_from_the_pods_of_one_secret_to_those_of_the_next_there_is_always_somebody_to_ask(
    origin: Origin, probe: str
) -> None:
    origin.apply(probe)
    before = origin.until(READY).endpoints
    origin.apply(probe, mark="b", command=["/nothing"])
    assert origin.until(FAILED, "RunContainerError").endpoints == before
    origin.apply(probe, mark="c")
    history: list[OriginObservation] = []

    def replaced() -> bool:
        history.append(origin.seen())
        return history[-1].phase is READY and len(history[-1].endpoints) == 1 and history[-1].endpoints != before

    eventually_sync(replaced, within_s=WITHIN_S)
    assert history[0].endpoints == before
    assert all(seen.endpoints for seen in history)
