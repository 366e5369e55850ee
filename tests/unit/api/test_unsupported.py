"""What Envoy would refuse, found before it is sent: the verdict must be Envoy's own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgerun.api.admission import admit
from edgerun.api.edgeroute import EdgeRoute
from edgerun.api.unsupported import REGEX_PROGRAM_SIZE, regex_problem, unsupported
from edgerun.translate import bootstrap

ENVOY = Path(sys.executable).with_name("envoy")
GOOD = [
    "/a.*",
    "(?i)/a",
    "(?P<id>[0-9]+)",
    "[^/]{1,500}",
    "é+",
    "x" * 1_024,
    ".{990}",
    r"\pL{280}",
    r"\p{Greek}",
    r"\C",
    "()",
]
BAD = [
    "/(",
    "a**",
    r"(a)\1",
    "a(?=b)",
    "(?<=a)b",
    "x{1001}",
    "(x{100}){100}",
    "[b-a]",
    r"\Z",
    "\\",
    ".{1000}",
    r"\pL{290}",
]


def route(**match: object) -> EdgeRoute:
    spec = {"rules": [{"matches": [match], "respond": {}}]}
    raw = {"apiVersion": "edgerun.dev/v1alpha1", "kind": "EdgeRoute", "metadata": {"name": "web"}, "spec": spec}
    found = admit(raw).object
    assert isinstance(found, EdgeRoute)
    return found


@pytest.mark.parametrize("pattern", GOOD)
def test_a_good_pattern_is_supported(pattern: str) -> None:
    assert regex_problem(pattern) is None


@pytest.mark.parametrize("pattern", BAD)
def test_a_bad_pattern_is_quoted_with_the_reason(pattern: str) -> None:
    message = regex_problem(pattern)
    assert message is not None
    assert message.startswith(f"Invalid value: {json.dumps(pattern)}: ")


def test_patterns_are_found_wherever_they_stand() -> None:
    bad = {"type": "RegularExpression", "value": "("}
    found = unsupported(route(path=bad, headers=[{"name": "a"} | bad], queryParams=[{"name": "b"} | bad]))
    assert [problem.field for problem in found] == [
        f"spec.rules[0].matches[0].{part}" for part in ("path.value", "headers[0].value", "queryParams[0].value")
    ]


def test_an_exact_value_is_no_pattern() -> None:
    assert unsupported(route(path={"type": "Exact", "value": "/("}, headers=[{"name": "a", "value": "("}])) == ()


def test_nothing_is_printed_about_a_bad_pattern(capfd: pytest.CaptureFixture[str]) -> None:
    regex_problem("unclosed [")
    assert capfd.readouterr() == ("", "")


def test_the_bootstrap_raises_the_limit_to_the_same_size() -> None:
    (layer,) = bootstrap.layered_runtime()["layers"]
    assert layer["static_layer"]["re2.max_program_size.error_level"] == REGEX_PROGRAM_SIZE


@pytest.mark.envoy
@pytest.mark.parametrize("pattern", GOOD + BAD)
def test_envoy_is_of_the_same_opinion(pattern: str, tmp_path: Path) -> None:
    config = tmp_path / "envoy.json"
    config.write_text(json.dumps(envoy_config(pattern)))
    run = subprocess.run([ENVOY, "--mode", "validate", "-c", config], capture_output=True, check=False)
    assert (run.returncode == 0) == (regex_problem(pattern) is None), run.stderr[-500:]


def envoy_config(pattern: str) -> dict[str, object]:
    """An Envoy with one route of that pattern."""
    type_ = "type.googleapis.com/envoy.extensions.filters"
    router = {"name": "router", "typed_config": {"@type": f"{type_}.http.router.v3.Router"}}
    match = {"match": {"safe_regex": {"regex": pattern}}, "direct_response": {"status": 200}}
    manager = {
        "@type": f"{type_}.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "test",
        "http_filters": [router],
        "route_config": {"virtual_hosts": [{"name": "any", "domains": ["*"], "routes": [match]}]},
    }
    listener = {
        "name": "test",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}},
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }
    return {"static_resources": {"listeners": [listener]}, "layered_runtime": bootstrap.layered_runtime()}
