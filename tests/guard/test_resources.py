"""What the Envoy of a guard is told, as people review it."""

import json
from pathlib import Path
from typing import Any

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_pb2
from google.protobuf import json_format

from edgerun.translate.bootstrap import guard_bootstrap
from edgerun.translate.channel import Channel
from edgerun.translate.guard import static_resources
from edgerun.translate.guard_policy import Invokers, signing_keys
from edgerun.translate.plan import Resource
from support.golden import check
from support.tokens import Key, jwks

from .bad_credentials import BAD
from .guarded import Settings, guard

GOLDEN = Path(__file__).parents[1] / "golden" / "guard"
_KINDS = (cluster_pb2.Cluster, extension_pb2.TypedExtensionConfig, listener_pb2.Listener)
_PUBLIC = {"kty": "EC", "crv": "P-256", "kid": "k1", "x": "eA", "y": "eQ"}
CALLERS = Invokers(accounts=("till/clerk",), namespaces=("shop",), subjects=("spiffe://example.test/ci/deploy",))
CASES: dict[str, Settings] = {
    "everything": guard(
        Key("k1"), jwks=jwks(_PUBLIC), invokers=CALLERS, probes_port=9901, listen_port=8008, concurrency=3, queue=10
    ),
    "http2": guard(Key("k1"), jwks=jwks(_PUBLIC), invokers=CALLERS, listen_port=8008, concurrency=3, http2=True),
    "nobody-may-and-no-keys": guard(Key("k1"), jwks=jwks(), invokers=Invokers(), listen_port=8008),
}


def decoded(resources: tuple[Resource, ...]) -> list[Any]:
    kinds = {f"type.googleapis.com/{kind.DESCRIPTOR.full_name}": kind for kind in _KINDS}
    messages = (kinds[one.type_url].FromString(one.body) for one in resources)
    return [
        json.loads(json_format.MessageToJson(message, preserving_proto_field_name=True, sort_keys=True))
        for message in messages
    ]


@pytest.mark.parametrize("case", CASES)
def test_the_resources_are_what_the_golden_file_says(case: str, update_golden: bool) -> None:
    found = {"static": static_resources(CASES[case].guard), "policies": decoded(CASES[case].policies)}
    check(GOLDEN / f"{case}.yaml", found, update=update_golden)


def test_equal_guards_give_equal_bytes_in_any_order_of_their_callers_and_keys() -> None:
    one, other = Key("k1"), Key("k2")
    first = guard(one, jwks=jwks(one, other), invokers=Invokers(namespaces=("a", "b"), subjects=("x", "y")))
    second = guard(one, jwks=jwks(other, one), invokers=Invokers(namespaces=("b", "a"), subjects=("y", "x")))
    assert first.policies == second.policies


def test_the_listener_of_a_guard_takes_edges_alone_and_holds_no_key() -> None:
    (listener, *_) = static_resources(guard(Key("k1")).guard)["listeners"]
    said = json.dumps(listener["filter_chains"][0]["transport_socket"])
    assert '"require_client_certificate": true' in said
    assert "spiffe://edgerun.test/edge/" in said
    assert "private" not in said


def test_only_the_public_half_of_keys_for_es256_with_a_name_is_passed_on() -> None:
    key = Key("k1")
    private = key.jwk(d="the private half")
    others = [
        {"kty": "oct", "kid": "k2", "k": "eA"},
        {"kty": "RSA", "kid": "k3"},
        key.jwk(crv="P-384"),
        key.jwk(kid=""),
    ]
    assert signing_keys(jwks(private, *others)) == [key.jwk()]
    assert "private" not in str([one.body for one in guard(key, jwks=jwks(private)).policies])


@pytest.mark.parametrize("field", ["issuer", "audience"])
def test_an_admission_of_any_issuer_or_audience_cannot_be_made(field: str) -> None:
    with pytest.raises(ValueError, match="needs an issuer and an audience"):
        _ = guard(Key("k1"), **{field: ""}).policies


def test_a_namespace_is_never_read_as_a_pattern() -> None:
    (_, _, rules) = decoded(guard(Key("k1"), invokers=Invokers(namespaces=("a.b",))).policies)
    assert r"system:serviceaccount:a\\.b:" in json.dumps(rules)


def test_a_guard_starts_with_less_memory_than_an_edge_and_asks_for_all_the_rest() -> None:
    config = guard_bootstrap(
        guard="guard/shop/cart",
        channel=Channel("xds", 1),
        admin_socket=Path("/run/admin.sock"),
        static=static_resources(guard(Key("k1")).guard),
    )
    assert config["node"] == {"cluster": "guard/shop/cart"}
    assert config["overload_manager"]["resource_monitors"][0]["typed_config"]["max_heap_size_bytes"] == 128 << 20
    assert {one["name"] for one in config["static_resources"]["clusters"]} == {"xds", "admin", "origin/shop/cart"}


def test_there_are_many_bad_credentials_and_each_has_a_name() -> None:
    assert len({case.name for case in BAD}) == len(BAD) >= 160
