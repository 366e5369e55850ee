"""What a person sees of the guards of a running instance."""

from typing import Any

import pytest

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
    ],
    ids=["no invoker", "no credential", "too many at once"],
)
def test_a_guard_that_refuses_a_request_says_to_whom_and_why(
    capsys: pytest.CaptureFixture[str], others: dict[str, Any], said: str
) -> None:
    Console().guarded("shop/cart", entry(**others))
    assert capsys.readouterr().out == f"shop/cart guard | {said}\n"
