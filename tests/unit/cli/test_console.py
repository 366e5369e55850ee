"""What a person sees of the guards of a running instance."""

from typing import Any

import pytest

from edgerun.api.meta import Condition, ObjectKey
from edgerun.api.originrevision import OriginRevisionStatus
from edgerun.api.originservice import LiveTraffic, OriginServiceStatus, Rejected, Rollout
from edgerun.cli.console import Console

CALLER = "system:serviceaccount:blog:default"


def entry(**others: Any) -> dict[str, Any]:
    """Of the log of a guard, about a request that it has let through."""
    seen = {"method": "GET", "path": "/cart", "status": 200, "caller": CALLER, "details": "via_upstream", "flags": "-"}
    return seen | others


@pytest.mark.parametrize(
    "others",
    [{}, {"status": 503}, {"status": 0, "details": "downstream_remote_disconnect", "flags": "DC"}],
    ids=["an answer", "the program's own 503", "a client that left"],
)
def test_of_what_a_guard_lets_through_the_line_of_the_edge_is_enough(
    capsys: pytest.CaptureFixture[str], others: dict[str, Any]
) -> None:
    Console().guarded("shop/cart", entry(**others))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("others", "said"),
    [
        (
            {"status": 403, "details": "rbac_access_denied_matched_policy[none]"},
            f"403 to {CALLER} for GET /cart (rbac_access_denied_matched_policy[none])",
        ),
        (
            {"status": 401, "caller": None, "details": "jwt_authn_access_denied{Jwt_is_missing}"},
            "401 to a caller not known for GET /cart (jwt_authn_access_denied{Jwt_is_missing})",
        ),
        (
            {"status": 503, "details": "upstream_reset_before_response_started{overflow}", "flags": "UO"},
            f"503 to {CALLER} for GET /cart (upstream_reset_before_response_started{{overflow}})",
        ),
        (
            {"status": 502, "details": "upstream_reset_before_response_started{protocol_error}", "flags": "UPE"},
            f"502 to {CALLER} for GET /cart (upstream_reset_before_response_started{{protocol_error}})",
        ),
    ],
    ids=["no invoker", "no credential", "too many at once", "the program does not speak HTTP"],
)
def test_a_guard_that_answers_a_request_itself_says_to_whom_and_why(
    capsys: pytest.CaptureFixture[str], others: dict[str, Any], said: str
) -> None:
    Console().guarded("shop/cart", entry(**others))
    assert capsys.readouterr().out == f"shop/cart guard | {said}\n"


CART = ObjectKey("OriginService", "shop", "cart")
ONE, TWO = "cart-00001", "cart-00002"


def status(ready: str, rejected: tuple[str, ...] = (), **percents: int) -> OriginServiceStatus:
    traffic = tuple(LiveTraffic(revision_name=name.replace("_", "-"), percent=part) for name, part in percents.items())
    rollout = Rollout(rejected=tuple(Rejected(revision_name=name, message="it failed") for name in rejected))
    condition = Condition(type="Ready", status="True", reason="Ready")
    return OriginServiceStatus(
        latest_ready_revision_name=ready, traffic=traffic, rollout=rollout, conditions=(condition,)
    )


def test_what_becomes_of_revisions_is_told_once_and_not_each_step(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.started()
    for told in (
        status(""),
        status(ONE, cart_00001=100),
        status(TWO, cart_00001=99, cart_00002=1),
        status(TWO, cart_00001=50, cart_00002=50),
        status(TWO, rejected=(TWO,), cart_00001=100),
        status(TWO, rejected=(TWO,), cart_00001=100),
    ):
        console.status(CART, told)
    assert capsys.readouterr().out.splitlines() == [
        f"{CART} Ready",
        f"{CART} {TWO} is ready",
        f"{CART} leads to {ONE} 99 %, {TWO} 1 %",
        f"{CART} {TWO} is rolled back: it failed",
        f"{CART} leads to {ONE} 100 %",
    ]


def test_of_a_service_that_is_gone_nothing_is_remembered(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    console.status(CART, status(ONE, cart_00001=100))
    console.status(CART, None)
    console.status(CART, status(TWO, cart_00002=100))
    assert "leads to" not in capsys.readouterr().out


def test_it_is_the_newest_revision_that_is_not_ready_while_another_one_serves(
    capsys: pytest.CaptureFixture[str],
) -> None:
    console, failed = Console(), Condition(type="Ready", status="False", reason="CrashLoopBackOff", message="oops")
    for ready in ("", ONE):
        told = OriginServiceStatus(
            latest_created_revision_name=TWO, latest_ready_revision_name=ready, conditions=(failed,)
        )
        console.status(CART, told)
        console.status(CART, status(ONE))
    console.status(ObjectKey("OriginRevision", "shop", TWO), OriginRevisionStatus(conditions=(failed,)))
    assert capsys.readouterr().out.splitlines() == [
        f"{CART} CrashLoopBackOff: oops",
        f"{CART} Ready",
        f"{CART} {TWO} CrashLoopBackOff: oops",
        f"{CART} Ready",
    ]


def test_the_line_of_a_request_names_the_revision_that_answered_as_the_lines_that_it_prints_do(
    capsys: pytest.CaptureFixture[str],
) -> None:
    cluster = "origin/shop/cart/cart-00002~1@shop/default"
    Console().request(
        {"authority": "shop.test", "rule": "shop/web/cart", "cluster": cluster, "duration_ms": 3} | entry()
    )
    assert capsys.readouterr().out == "GET shop.test/cart -> shop/web/cart -> shop/cart-00002 200 3 ms\n"
