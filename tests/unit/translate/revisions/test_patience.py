from typing import Any

import msgspec
import pytest

from edgerun.api.edgeroute import EdgeRoute
from edgerun.api.meta import ObjectKey
from edgerun.api.templates import Template
from edgerun.translate.revisions.patience import longest_request_s, patience_s

CART = ObjectKey("OriginService", "shop", "cart")


def template(**spec: Any) -> Template:
    return msgspec.convert({"spec": {"containers": [{"image": "one"}]} | spec}, Template)


def route(*timeouts: str | None, service: str = "cart") -> EdgeRoute:
    """With a rule for each."""
    rules = [{"origins": [{"service": {"name": service}}], "timeouts": {"request": one}} for one in timeouts]
    return msgspec.convert({"metadata": {"namespace": "shop", "name": "shop"}, "spec": {"rules": rules}}, EdgeRoute)


@pytest.mark.parametrize(
    ("grace_s", "longest_s", "want"),
    [(None, 0.0, 300.0), (30, 10.0, 300.0), (3600, 0.0, 3600.0), (30, 1800.0, 1800.0), (3600, 1800.0, 3600.0)],
)
def test_who_allows_a_request_more_than_five_minutes_has_it_waited_for(
    grace_s: int | None, longest_s: float, want: float
) -> None:
    assert patience_s(template(terminationGracePeriodSeconds=grace_s), longest_s) == want


def test_of_all_rules_that_lead_to_an_origin_the_most_patient_counts() -> None:
    routes = [route("10s", "1h"), route("20m", None), route("2h", service="till"), route(None, "0s", service="pages")]
    assert longest_request_s(routes) == {CART: 3600.0, ObjectKey("OriginService", "shop", "till"): 7200.0}
