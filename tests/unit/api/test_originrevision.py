from typing import Any

import msgspec
import pytest

from edgerun.api.originrevision import read, read_in_part

SPEC = {"template": {"spec": {"containers": [{"image": "one"}]}}, "number": 3}
RAW = {"metadata": {"name": "cart-00003"}, "spec": SPEC}


def test_what_another_version_wrote_into_a_status_costs_no_more_than_that() -> None:
    strange = {"conditions": [{"type": "Ready", "status": "Partly", "reason": "New"}], "lastActive": 7, "proven": True}
    found = read(RAW | {"status": strange})
    assert (found.spec.number, found.status.proven) == (3, True)
    assert (found.status.conditions, found.status.last_active) == ((), None)


def test_a_template_that_cannot_be_read_is_no_revision() -> None:
    with pytest.raises(msgspec.ValidationError, match="containers"):
        read(RAW | {"spec": {**SPEC, "template": {"spec": {"containers": "of the future"}}}})


def of(spec: Any) -> dict[str, Any]:
    return RAW | {"spec": {**SPEC, "template": {"spec": spec}}}


def test_what_another_version_wrote_into_pods_is_left_aside_and_the_rest_is_read() -> None:
    container = {"ports": [{"containerPort": 9}], "imagePullPolicy": {"new": 1}, "env": [{"name": "A"}, {"value": "?"}]}
    found = read_in_part(of({"containers": [container, {"name": "b"}], "nodeSelector": {"a": 5}, "hostNetwork": "no"}))
    pod = found.value.spec.template.spec
    assert (pod.containers[0].port, pod.containers[0].image_pull_policy) == (9, "")
    assert [one.name for one in pod.containers[0].env] == ["A"]
    assert (pod.containers[1].name, pod.node_selector, pod.host_network) == ("b", {}, None)


@pytest.mark.parametrize(
    "spec",
    [
        None,
        {"containers": "of the future"},
        {"containers": ["of the future"]},
        {"containers": [{"ports": [{"containerPort": "http"}]}]},
    ],
    ids=str,
)
def test_nothing_is_read_where_it_is_not_known_who_takes_requests_and_where(spec: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_in_part(of(spec))
