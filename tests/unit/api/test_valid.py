"""The table of good objects, as this control plane judges them."""

from typing import Any

import pytest

from edgerun.api.admission import admit
from edgerun.api.originservice import OriginService, TrafficTarget
from edgerun.api.unsupported import unsupported
from edgerun.translate.revisions.naming import name_problems
from edgerun.translate.revisions.traffic import traffic_problems
from support.invalid import cases
from support.valid import valid


@pytest.mark.parametrize("raw", valid().values(), ids=valid())
def test_a_good_object_is_taken(raw: dict[str, Any]) -> None:
    admission = admit(raw)
    assert admission.object, admission.problems
    assert not unsupported(admission.object)


@pytest.mark.parametrize("raw", valid().values(), ids=valid())
def test_what_is_taken_can_take_effect(raw: dict[str, Any]) -> None:
    """What follows revisions judges names and traffic for itself, and must not be stricter than the CRD."""
    service = admit(raw).object
    assert isinstance(service, OriginService)
    assert not traffic_problems(service.spec.traffic)
    given = service.spec.template.metadata.name
    assert not given or not [*name_problems(service.metadata.name, given)]


def test_the_table_has_both_sides_of_what_is_new() -> None:
    names = {str(case) for case in cases()} | valid().keys()
    for subject in ("traffic-", "revision-", "rollout-"):
        assert len([name for name in names if name.startswith(subject)]) > 5


def test_a_target_without_a_word_is_the_latest_revision() -> None:
    service = admit(valid()["traffic-of-revisions"]).object
    assert isinstance(service, OriginService)
    assert service.spec.traffic[3] == TrafficTarget(tag="latest")
    assert service.spec.traffic[3].latest
