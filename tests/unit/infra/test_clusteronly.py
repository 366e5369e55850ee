"""What a template asks of a cluster is refused in the standalone mode, and what makes no difference is not."""

from typing import Any

import msgspec
import pytest

from edgerun.api.templates import PodSpec
from edgerun.infra.local.clusteronly import require_local
from edgerun.infra.local.launch import LaunchError


def pod(**spec: Any) -> PodSpec:
    return msgspec.convert({"containers": [{"command": ["serve"]}], **spec}, PodSpec)


def one(**container: Any) -> PodSpec:
    return pod(containers=[{"command": ["serve"], **container}])


def refusal(spec: PodSpec) -> str:
    with pytest.raises(LaunchError) as caught:
        require_local(spec)
    assert caught.value.reason == "NeedsCluster"
    return str(caught.value)


@pytest.mark.parametrize(
    ("spec", "field", "way_out"),
    [
        (
            one(env=[{"name": "A"}, {"name": "B", "valueFrom": {}}]),
            "containers[0].env[1].valueFrom",
            "B from; write a `value`",
        ),
        (one(envFrom=[{}]), "containers[0].envFrom", "list the variables in `env`"),
        (one(volumeMounts=[{}]), "containers[0].volumeMounts", "tell it their path"),
        (one(volumeDevices=[{}]), "containers[0].volumeDevices", "tell it their path"),
        (one(readinessProbe={"exec": {}}), "containers[0].readinessProbe.exec", "use one of them"),
        (one(readinessProbe={"grpc": {}}), "containers[0].readinessProbe.grpc", "use one of them"),
        (
            one(readinessProbe={"httpGet": {"scheme": "HTTPS"}}),
            "containers[0].readinessProbe.httpGet.scheme",
            "httpGet over HTTP",
        ),
        (
            one(readinessProbe={"httpGet": {"host": "a"}}),
            "containers[0].readinessProbe.httpGet.host",
            "of the process itself",
        ),
        (
            one(readinessProbe={"tcpSocket": {"host": "a"}}),
            "containers[0].readinessProbe.tcpSocket.host",
            "of the process itself",
        ),
        (pod(initContainers=[{"name": "migrate"}]), "initContainers", "let `command` do it"),
        (
            pod(containers=[{"command": ["serve"]}, {"name": "proxy"}]),
            "containers[1]",
            'make "proxy" an OriginService',
        ),
    ],
)
def test_what_only_a_cluster_has_is_named_with_the_way_out(spec: PodSpec, field: str, way_out: str) -> None:
    said = refusal(spec)
    assert said.startswith(f"{field}: ")
    assert way_out in said


def test_all_that_is_missing_is_said_at_once() -> None:
    said = refusal(one(envFrom=[{}], volumeMounts=[{}]))
    assert "containers[0].envFrom" in said
    assert "containers[0].volumeMounts" in said


def test_what_makes_no_difference_to_a_process_is_not_spoken_of() -> None:
    container = {
        "resources": {"limits": {"cpu": 1}},
        "securityContext": {"runAsNonRoot": True},
        "livenessProbe": {"exec": {}},
        "startupProbe": {"grpc": {}},
        "lifecycle": {"preStop": {}},
        "imagePullPolicy": "Always",
        "readinessProbe": {"httpGet": {"httpHeaders": [{"name": "a"}], "scheme": "HTTP"}, "periodSeconds": 1},
        "ports": [{"containerPort": 80, "hostPort": 80}],
    }
    placement = {"serviceAccountName": "a", "nodeSelector": {"a": "b"}, "tolerations": [{}], "hostNetwork": True}
    require_local(pod(containers=[{"command": ["serve"], **container}], volumes=[{"name": "unused"}], **placement))
