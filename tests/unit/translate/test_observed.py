"""What an origin's Deployment and pods tell of it: raw objects as an API server has them, one state each."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest

from edgerun.api.originservice import OriginService
from edgerun.translate.observed import origin_observation
from edgerun.translate.phases import OriginPhase
from edgerun.translate.workloads import origin_deployment
from edgerun.translate.world import Endpoint, OriginObservation
from support.objects import origin_service, run

READY, STARTING, FAILED, PENDING = OriginPhase.READY, OriginPhase.STARTING, OriginPhase.FAILED, OriginPhase.PENDING
CREATED, STARTED, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:02Z", "2026-01-01T00:05:00Z"
FORBIDDEN = (
    'pods "cart-6c9f7b8d5-x2x7k" is forbidden: violates PodSecurity "restricted:latest": unrestricted capabilities '
    '(container "app" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container '
    '"app" must set securityContext.runAsNonRoot=true)'
)
CONTAINER_CREATING = {"waiting": {"reason": "ContainerCreating"}}
RUNNING = {"running": {"startedAt": STARTED}}


def scaled(replicas: int, **container: Any) -> OriginService:
    service = origin_service("cart", **container)
    scaling = msgspec.structs.replace(service.spec.scaling, min_scale=replicas)
    return msgspec.structs.replace(service, spec=msgspec.structs.replace(service.spec, scaling=scaling))


CART = scaled(1, image="cart:2")


def deployment(service: OriginService = CART, *conditions: Mapping[str, str], observed: int = 4) -> dict[str, Any]:
    made = origin_deployment(run(service))
    made["metadata"] |= {"generation": 4, "uid": "d", "resourceVersion": "17", "creationTimestamp": CREATED}
    available = condition("Available", "False", "MinimumReplicasUnavailable", "Deployment does not have minimum ...")
    return made | {"status": {"observedGeneration": observed, "conditions": [available, *conditions]}}


def condition(type: str, status: str, reason: str = "", message: str = "", since: str = CREATED) -> dict[str, str]:
    times = {"lastTransitionTime": since, "lastUpdateTime": since}
    return {"type": type, "status": status, "reason": reason, "message": message, **times}


TOO_LATE = condition(
    "Progressing", "False", "ProgressDeadlineExceeded", 'ReplicaSet "cart-6c9f7b8d5" has timed out progressing.'
)
REFUSED = condition("ReplicaFailure", "True", "FailedCreate", FORBIDDEN)


def container(name: str = "app", *, ready: bool = False, restarts: int = 0, **states: Any) -> dict[str, Any]:
    """Its status, as the kubelet writes it."""
    more = {"image": "cart:2", "imageID": "sha256:1", "started": ready, "lastState": {}, "state": {}}
    return {"name": name, "ready": ready, "restartCount": restarts, **more, **states}


def pod(
    service: OriginService = CART,
    *containers: dict[str, Any],
    number: int = 1,
    name: str = "cart-6c9f7b8d5-x2x7k",
    ready: bool = False,
    ready_since: str = CREATED,
    address: str = "10.244.0.7",
    **status: Any,
) -> dict[str, Any]:
    template = origin_deployment(run(service, number))["spec"]["template"]
    metadata = {
        "name": name,
        "namespace": service.metadata.namespace,
        "labels": {**template["metadata"]["labels"], "pod-template-hash": "6c9f7b8d5"},
        "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "cart-6c9f7b8d5", "uid": "r"}],
    }
    conditions = [
        condition("PodScheduled", "True"),
        condition("Ready", "True" if ready else "False", "" if ready else "ContainersNotReady", since=ready_since),
    ]
    default = container(ready=ready, state=RUNNING)
    filled = {
        "phase": "Running",
        "podIP": address,
        "podIPs": [{"ip": address}],
        "conditions": conditions,
        "containerStatuses": list(containers) or [default],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": metadata,
        "spec": template["spec"],
        "status": filled | status,
    }


def unscheduled(message: str = "0/3 nodes are available: 3 Insufficient cpu.") -> dict[str, Any]:
    scheduled = condition("PodScheduled", "False", "Unschedulable", message)
    made = pod(phase="Pending", conditions=[scheduled])
    for field in ("podIP", "podIPs", "containerStatuses"):
        del made["status"][field]
    return made


def seen(
    *pods: Mapping[str, Any], service: OriginService = CART, made: dict[str, Any] | None = None
) -> OriginObservation:
    return origin_observation(service, "cart-00001", made or deployment(service), pods)


def state(observation: OriginObservation) -> tuple[OriginPhase, str, str]:
    return observation.phase, observation.reason, observation.message


def endpoints(*pods: Mapping[str, Any], **others: Any) -> Sequence[tuple[str, int]]:
    return [(endpoint.address, endpoint.port) for endpoint in seen(*pods, **others).endpoints]


def test_a_ready_pod_is_an_endpoint_and_the_origin_is_ready() -> None:
    expected = OriginObservation(READY, (Endpoint("10.244.0.7", 8080),), replicas=1)
    assert seen(pod(ready=True)) == expected


def test_endpoints_come_in_one_order_whatever_that_of_the_pods() -> None:
    pods = [pod(name=f"cart-{number}", ready=True, address=f"10.0.0.{number}") for number in range(5)]
    assert endpoints(*pods) == [(f"10.0.0.{number}", 8080) for number in range(5)]
    assert endpoints(*pods) == endpoints(*reversed(pods))


def test_a_pod_that_is_on_its_way_out_is_no_endpoint() -> None:
    leaving = pod(ready=True)
    leaving["metadata"] |= {"deletionTimestamp": LATER, "deletionGracePeriodSeconds": 30}
    assert state(seen(leaving))[0] is STARTING
    assert endpoints(leaving) == []


def test_a_pod_that_is_not_ready_or_has_no_address_is_no_endpoint() -> None:
    assert endpoints(pod(ready=False), pod(ready=True, name="other", podIP="")) == []


def test_pods_of_others_are_no_endpoints_even_if_they_are_shown() -> None:
    web = pod(origin_service("web", image="web:1"), ready=True)
    elsewhere = pod(origin_service("cart", namespace="team", image="cart:2"), ready=True)
    stranger = pod(ready=True)
    stranger["metadata"]["labels"] = {"app": "cart"}
    other_revision = pod(number=2, ready=True)
    of_none = pod(ready=True)
    del of_none["metadata"]["labels"]["edgerun.dev/revision"]
    assert endpoints(web, elsewhere, stranger, other_revision, of_none) == []


def test_a_sidecar_that_is_put_before_the_container_changes_nothing() -> None:
    meshed = pod(ready=True)
    proxy = {"name": "proxy", "env": [{"name": "POD", "valueFrom": {}}], "ports": [{"containerPort": 15001}]}
    meshed["spec"]["containers"].insert(0, proxy)
    assert endpoints(meshed) == [("10.244.0.7", 8080)]
    assert seen(meshed).phase is READY


def test_without_a_deployment_nothing_is_there_yet() -> None:
    observation = origin_observation(CART, "cart-00001", None, [])
    assert (observation.phase, observation.endpoints) == (PENDING, ())


def test_while_a_deployment_is_not_there_its_pods_serve() -> None:
    observation = origin_observation(CART, "cart-00001", None, [pod(ready=True)])
    assert (observation.phase, len(observation.endpoints), observation.replicas) == (PENDING, 1, None)


def test_of_another_revision_nothing_is_said() -> None:
    crashed = container(restarts=3, state={"waiting": {"reason": "CrashLoopBackOff"}})
    assert seen(pod(CART, crashed, name="old", number=2), pod(name="new", ready=True)).phase is READY
    assert seen(pod(name="old", number=2, ready=True), pod(name="new")).phase is STARTING


def test_a_revision_that_is_to_have_no_replica_is_not_waited_for() -> None:
    none = scaled(0, image="cart:2")
    assert state(seen(service=none)) == (PENDING, "", "it has no replica, and is to have none")
    assert seen(service=none).replicas == 0


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ErrImageNeverPull", 'Container image "cart:2" is not present with pull policy of Never'),
        ("InvalidImageName", "couldn't parse image name"),
        ("CreateContainerConfigError", 'secret "cart" not found'),
        ("CreateContainerError", "context deadline exceeded"),
        ("RunContainerError", 'exec: "serve": executable file not found in $PATH'),
    ],
)
def test_a_container_that_cannot_be_started_is_told_in_the_words_of_the_kubelet(reason: str, message: str) -> None:
    observation = seen(pod(CART, container(state={"waiting": {"reason": reason, "message": message}})))
    assert state(observation) == (FAILED, reason, f'container "app": {message}')


def test_a_pull_that_fails_is_told_the_same_before_and_after_the_pause() -> None:
    cause = 'failed to pull and unpack image "cart:2": not found'
    failing = {"reason": "ErrImagePull", "message": cause}
    pausing = {"reason": "ImagePullBackOff", "message": f'Back-off pulling image "cart:2": ErrImagePull: {cause}'}
    for waiting in (failing, pausing):
        observation = seen(pod(CART, container(state={"waiting": waiting})))
        assert state(observation) == (FAILED, "ImagePullBackOff", f'container "app": {cause}')


def test_a_program_that_is_not_there_is_told_the_same_in_every_state() -> None:
    cause = 'exec: "serve": executable file not found in $PATH'
    ended = {"terminated": {"exitCode": 128, "reason": "StartError", "message": cause}}
    states = (
        {"state": {"waiting": {"reason": "RunContainerError", "message": cause}}},
        {"state": {"waiting": {"reason": "RunContainerError", "message": cause}}, "lastState": ended},
        {"state": {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 10s"}}, "lastState": ended},
        {"state": ended},
    )
    for one in states:
        assert state(seen(pod(CART, container(**one)))) == (FAILED, "RunContainerError", f'container "app": {cause}')


@pytest.mark.parametrize(
    ("probe", "asked"),
    [
        ({}, "a connection to port 8080"),
        ({"httpGet": {"path": "/ready"}}, "GET /ready on port 8080"),
        ({"grpc": {}}, "gRPC's health service on port 8080"),
        ({"exec": {"command": ["check", "all"]}}, "the command check all"),
    ],
)
def test_what_is_asked_of_a_container_that_is_not_ready_is_said(probe: dict[str, Any], asked: str) -> None:
    service = scaled(1, image="cart:2", readinessProbe=probe)
    message = f'container "app" runs, and has not answered its readiness probe yet: {asked}'
    assert seen(pod(service), service=service).message == message


def test_a_reason_that_we_do_not_know_is_told_all_the_same() -> None:
    waiting = {"reason": "SignatureValidationFailed", "message": "no signature"}
    observation = seen(pod(CART, container(state={"waiting": waiting})))
    assert state(observation) == (
        FAILED,
        "ContainerNotStarted",
        'container "app": SignatureValidationFailed: no signature',
    )


def crashed(**ended: Any) -> dict[str, Any]:
    waiting = {
        "reason": "CrashLoopBackOff",
        "message": "back-off 40s restarting failed container=app pod=cart-6c9f7b8d5",
    }
    terminated = {"exitCode": 1, "reason": "Error", "startedAt": STARTED, "finishedAt": LATER, **ended}
    return container(restarts=4, state={"waiting": waiting}, lastState={"terminated": terminated})


def test_a_crash_is_told_with_its_exit_code_and_the_last_five_lines() -> None:
    words = "\n".join(f"line {number}" for number in range(9)) + "\n"
    observation = seen(pod(CART, crashed(exitCode=7, message=words)))
    expected = 'container "app": exit code 7:\nline 4\nline 5\nline 6\nline 7\nline 8'
    assert state(observation) == (FAILED, "CrashLoopBackOff", expected)


def test_last_words_are_no_longer_than_two_thousand_characters() -> None:
    assert len(seen(pod(CART, crashed(message="x" * 4096))).message) < 2_100


def test_a_container_that_was_killed_for_its_memory_says_so() -> None:
    observation = seen(pod(CART, crashed(exitCode=137, reason="OOMKilled")))
    assert observation.message == 'container "app": exit code 137 (OOMKilled)'


def test_a_program_that_ends_of_itself_has_crashed_too() -> None:
    ended = {"exitCode": 0, "reason": "Completed"}
    observation = seen(pod(CART, container(state={"terminated": ended})))
    assert state(observation) == (FAILED, "CrashLoopBackOff", 'container "app": exit code 0')


def test_between_two_crashes_it_does_not_seem_to_recover() -> None:
    again = container(restarts=2, state=RUNNING, lastState={"terminated": {"exitCode": 1, "reason": "Error"}})
    assert state(seen(pod(CART, again))) == (FAILED, "CrashLoopBackOff", 'container "app": exit code 1')


def test_a_crash_of_which_no_end_is_known_has_the_words_of_the_kubelet() -> None:
    waiting = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting"}
    assert seen(pod(CART, container(restarts=1, state={"waiting": waiting}))).message.endswith(
        "back-off 10s restarting"
    )


def test_a_sidecar_or_an_init_container_that_fails_is_named() -> None:
    proxy = container("proxy", state={"waiting": {"reason": "ErrImagePull", "message": "not found"}})
    assert seen(pod(CART, container(ready=True, state=RUNNING), proxy)).message == 'container "proxy": not found'
    migrate = crashed(message="no such table") | {"name": "migrate"}
    waiting = container(state={"waiting": {"reason": "PodInitializing"}})
    observation = seen(pod(CART, waiting, initContainerStatuses=[migrate]))
    assert observation.message == 'container "migrate": exit code 1:\nno such table'


def test_an_init_container_that_is_done_is_no_trouble() -> None:
    done = container("migrate", ready=True, state={"terminated": {"exitCode": 0, "reason": "Completed"}})
    assert seen(pod(ready=True, initContainerStatuses=[done])).phase is READY
    assert state(seen(pod(CART, container(state=CONTAINER_CREATING), initContainerStatuses=[done])))[:2] == (
        STARTING,
        "",
    )


def test_what_is_waited_for_is_said() -> None:
    initializing = container(state={"waiting": {"reason": "PodInitializing"}})
    migrating = seen(pod(CART, initializing, initContainerStatuses=[container("migrate", state=RUNNING)]))
    assert state(migrating) == (STARTING, "", 'init container "migrate" is not done yet')
    creating = seen(pod(CART, container(state=CONTAINER_CREATING)))
    assert state(creating) == (STARTING, "", 'container "app" is being created')
    assert state(seen(pod(containerStatuses=[]))) == (STARTING, "", "pod cart-6c9f7b8d5-x2x7k is being started")
    assert state(seen()) == (STARTING, "", "its pods are being created")


def test_a_container_that_was_ready_and_does_not_answer_any_more_is_told_from_one_that_starts() -> None:
    observation = seen(pod(ready_since=LATER))
    assert state(observation)[:2] == (STARTING, "ProbeFailing")
    assert "any more" in observation.message


def test_a_crash_of_long_ago_is_not_why_a_probe_fails_now() -> None:
    again = container(restarts=1, state=RUNNING, lastState={"terminated": {"exitCode": 1}})
    assert seen(pod(CART, again, ready_since=LATER)).reason == "ProbeFailing"


def test_a_pod_for_which_there_is_no_node_waits_for_one() -> None:
    assert state(seen(unscheduled())) == (STARTING, "Unschedulable", "0/3 nodes are available: 3 Insufficient cpu.")


def test_a_pod_for_which_no_node_came_in_time_has_failed() -> None:
    observation = seen(unscheduled(), made=deployment(CART, TOO_LATE))
    assert state(observation)[:2] == (FAILED, "Unschedulable")


def test_what_pod_security_admission_says_is_told_in_full() -> None:
    assert state(seen(made=deployment(CART, REFUSED))) == (FAILED, "PodsForbidden", FORBIDDEN)


def test_pods_that_cannot_be_created_for_another_reason_are_told_too() -> None:
    failure = condition("ReplicaFailure", "True", "FailedCreate", "Internal error occurred: failed calling webhook")
    assert state(seen(made=deployment(CART, failure)))[:2] == (FAILED, "FailedCreate")


def test_what_a_deployment_says_of_a_generation_before_is_not_believed() -> None:
    assert seen(made=deployment(CART, REFUSED, TOO_LATE, observed=3)).phase is STARTING


def test_a_container_tells_more_than_a_refusal_and_a_refusal_more_than_the_clock() -> None:
    made = deployment(CART, TOO_LATE, REFUSED)
    assert seen(pod(CART, crashed()), made=made).reason == "CrashLoopBackOff"
    assert seen(made=made).reason == "PodsForbidden"


def test_a_version_that_is_not_ready_in_time_has_failed_and_says_what_was_waited_for() -> None:
    observation = seen(pod(), made=deployment(CART, TOO_LATE))
    assert state(observation)[:2] == (FAILED, "ProgressDeadlineExceeded")
    assert "has not answered its readiness probe yet" in observation.message


def test_a_pod_that_a_node_would_not_have_is_told_until_there_is_another() -> None:
    evicted = pod(
        phase="Failed", reason="Evicted", message="The node was low on resource: memory.", containerStatuses=[]
    )
    assert state(seen(evicted)) == (
        STARTING,
        "PodFailed",
        "pod cart-6c9f7b8d5-x2x7k: Evicted: The node was low on resource: memory.",
    )
    assert seen(evicted, pod(name="other")).reason == ""
    assert seen(evicted, pod(name="other", ready=True)).phase is READY


def test_one_of_three_replicas_makes_an_origin_ready_and_it_says_how_many_and_why() -> None:
    three = scaled(3, image="cart:2")
    ready = pod(three, name="a", ready=True)
    assert state(seen(ready, pod(three, name="b"), service=three)) == (READY, "", "1 of 3 replicas take requests")
    observation = seen(ready, pod(three, crashed(), name="b"), service=three)
    assert state(observation)[:2] == (READY, "CrashLoopBackOff")
    assert observation.message == '1 of 3 replicas take requests; CrashLoopBackOff: container "app": exit code 1'


def test_an_address_of_ipv6_is_an_endpoint() -> None:
    assert endpoints(pod(ready=True, address="fd00::7")) == [("fd00::7", 8080)]
