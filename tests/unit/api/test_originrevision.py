import msgspec
import pytest

from edgerun.api.originrevision import read

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
