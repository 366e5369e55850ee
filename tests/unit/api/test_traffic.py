"""Who judges traffic and names twice: the CRD, before anything is stored, and whoever follows revisions, for itself."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from edgerun.api import API_VERSION
from edgerun.api.admission import admit
from edgerun.api.originservice import TrafficTarget
from edgerun.api.problems import Problem
from edgerun.translate.revisions.naming import name_problems
from edgerun.translate.revisions.traffic import traffic_problems

TARGETS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "revisionName": st.sampled_from(["cart-00001", "cart-00002"]),
            "latestRevision": st.booleans(),
            "percent": st.sampled_from([-1, 0, 1, 50, 99, 100, 101]),
            "tag": st.sampled_from(["a", "b", "a-1", "A", "1a", "a-", "a" * 63, "a" * 64]),
        },
    ),
    max_size=3,
)
NAMES = st.one_of(
    st.sampled_from(["cart-", "cart", "cart-1", "carts-1", "cart-1-", "cart-A", "cart-1.2", "cart-" + "a" * 59]),
    st.text("cart-1A.", min_size=1, max_size=8),
)


def problems(name: str = "", traffic: Any = ()) -> tuple[Problem, ...]:
    template = {"metadata": {"name": name} if name else {}, "spec": {"containers": [{"image": "a"}]}}
    spec = {"template": template, "traffic": list(traffic)}
    return admit(
        {"apiVersion": API_VERSION, "kind": "OriginService", "metadata": {"name": "cart"}, "spec": spec}
    ).problems


def parsed(target: dict[str, Any]) -> TrafficTarget:
    """As it would be if nobody had judged it yet."""
    return TrafficTarget(
        revision_name=target.get("revisionName", ""),
        latest_revision=target.get("latestRevision"),
        percent=target.get("percent"),
        tag=target.get("tag", ""),
    )


@given(TARGETS)
def test_both_are_of_one_mind_about_traffic(targets: list[dict[str, Any]]) -> None:
    assert bool(problems(traffic=targets)) == bool(traffic_problems([parsed(target) for target in targets]))


@given(NAMES)
def test_both_are_of_one_mind_about_names(name: str) -> None:
    assert bool(problems(name)) == bool([*name_problems("cart", name)])


def test_what_is_wrong_with_the_sum_both_say_in_the_same_words() -> None:
    (said,) = problems(traffic=[{"percent": 60}, {"percent": 30}])
    assert traffic_problems([TrafficTarget(percent=60), TrafficTarget(percent=30)]) == (said,)


def test_what_is_wrong_with_a_prefix_both_say_in_the_same_words() -> None:
    assert problems("blue") == (*name_problems("cart", "blue"),)
