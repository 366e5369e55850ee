"""Who may call an origin: what guards are told, what edges need for it, and what no plan ever holds."""

import pytest
from envoy.config.core.v3 import extension_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2

from edgerun.api.edgeroute import EdgeRoute
from edgerun.api.originservice import Access, Guarding, Invoker, OriginService
from edgerun.translate.access import invokers, may_call
from edgerun.translate.guard_policy import INVOKERS, POLICIES, Invokers
from edgerun.translate.identities import Claim
from edgerun.translate.phases import OriginPhase
from edgerun.translate.plan import EXTENSION, SECRET, Plan
from edgerun.translate.translator import translate
from edgerun.translate.world import Endpoint, OriginObservation, Trust
from support.objects import edge_route, origin_service, world

CART = "spiffe://edgerun.local/ns/shop/origin/cart"
TO_CART = [{"origins": [{"service": {"name": "cart"}}]}]


def cart(access: Access | None = None, guard: Guarding = Guarding.ENABLED) -> OriginService:
    found = origin_service("cart")
    return OriginService(found.metadata, type(found.spec)(found.spec.template, access=access or Access(), guard=guard))


def allowing(*some: Invoker) -> OriginService:
    return cart(Access(invokers=some))


def calling(namespace: str, account: str = "default") -> EdgeRoute:
    return edge_route("web", namespace=namespace, serviceAccountName=account, rules=[{"respond": {}}])


def rules(plan: Plan, fleet: str) -> rbac_pb2.RBAC:
    """What the guards of this fleet are told of callers."""
    found = extension_pb2.TypedExtensionConfig.FromString(plan.fleets[fleet][EXTENSION][INVOKERS].body)
    return rbac_pb2.RBAC.FromString(found.typed_config.value)


def test_without_a_word_the_routes_of_the_own_namespace_may_call() -> None:
    assert invokers(cart()) == Invokers(namespaces=("shop",))
    assert may_call(calling("shop", "anybody"), cart())
    assert not may_call(calling("fair"), cart())


def test_an_empty_list_is_nobody() -> None:
    assert invokers(allowing()) == Invokers()
    assert not may_call(calling("shop"), allowing())


@pytest.mark.parametrize(
    ("invoker", "namespace", "account", "allowed"),
    [
        (Invoker(namespace="fair"), "fair", "anybody", True),
        (Invoker(namespace="fair"), "shop", "default", False),
        (Invoker(namespace="fair", service_account_name="stand"), "fair", "stand", True),
        (Invoker(namespace="fair", service_account_name="stand"), "fair", "default", False),
        (Invoker(service_account_name="web"), "shop", "web", True),
        (Invoker(service_account_name="web"), "fair", "web", False),
        (Invoker(subject="system:serviceaccount:fair:stand"), "fair", "stand", True),
        (Invoker(subject="spiffe://else.test/ci"), "fair", "stand", False),
    ],
)
def test_a_caller_is_let_in_by_what_names_it(invoker: Invoker, namespace: str, account: str, *, allowed: bool) -> None:
    assert may_call(calling(namespace, account), allowing(invoker)) is allowed


def test_every_origin_has_guards_that_are_told_whom_to_trust_even_one_that_has_none_any_more() -> None:
    for service in (cart(), cart(guard=Guarding.DISABLED)):
        plan = translate(world(service))
        assert plan.fleets["guard/shop/cart"].keys() == {EXTENSION}
        assert set(plan.fleets["guard/shop/cart"][EXTENSION]) == set(POLICIES)
        assert plan.identities["guard/shop/cart"] == CART


def test_an_edge_needs_a_credential_for_each_pair_of_caller_and_origin_and_a_certificate() -> None:
    routes = [
        edge_route("a", rules=TO_CART),
        edge_route("b", rules=TO_CART),
        edge_route("c", rules=TO_CART, serviceAccountName="web"),
        edge_route("d", rules=[{"origins": [{"url": "https://legacy.example:8443/"}]}]),
    ]
    plan = translate(world(cart(), *routes))
    assert plan.claims == {
        "default": {
            Claim("system:serviceaccount:shop:default", CART),
            Claim("system:serviceaccount:shop:web", CART),
            Claim("system:serviceaccount:shop:default", "https://legacy.example:8443"),
        }
    }
    assert plan.identities["default"] == "spiffe://edgerun.local/edge/default"


def test_an_origin_of_another_namespace_is_called_only_where_it_names_the_caller() -> None:
    rules = [{"origins": [{"service": {"name": "cart", "namespace": "shop"}}]}]
    route = edge_route("stand", namespace="fair", rules=rules)
    plan = translate(world(cart(), route))
    assert not plan.claims["default"]
    plan = translate(world(allowing(Invoker(namespace="fair")), route))
    assert plan.claims["default"] == {Claim("system:serviceaccount:fair:default", CART)}


def test_of_another_namespace_no_route_learns_what_is_there() -> None:
    def told(name: str) -> str:
        rules = [{"origins": [{"service": {"name": name, "namespace": "shop"}}]}]
        route = edge_route("stand", namespace="fair", rules=rules)
        (said,) = (one.message for one in translate(world(cart(), route)).verdicts[route.key].conditions if one.message)
        return said.replace(name, "X")

    assert told("cart") == told("nothing")


def test_a_change_of_keys_changes_what_proves_a_signature_and_nothing_else() -> None:
    route = edge_route(rules=TO_CART)
    before = translate(world(cart(), route))
    jwks = '{"keys":[{"kty":"EC","crv":"P-256","kid":"k","x":"eA","y":"eQ"}]}'
    after = translate(world(cart(), route, trust=Trust(jwks=jwks)))
    assert before.fleets["default"] == after.fleets["default"]
    changed = {
        name
        for name, one in after.fleets["guard/shop/cart"][EXTENSION].items()
        if one != before.fleets["guard/shop/cart"][EXTENSION][name]
    }
    assert changed == {"verification"}


def test_no_secret_is_in_a_plan() -> None:
    plan = translate(world(cart(), edge_route(rules=TO_CART)))
    assert all(SECRET not in resources for resources in plan.fleets.values())


def test_a_guard_lets_exactly_the_named_in() -> None:
    plan = translate(world(allowing(Invoker(namespace="fair", service_account_name="stand"))))
    (policy,) = rules(plan, "guard/shop/cart").rules.policies.values()
    assert "system:serviceaccount:fair:stand" in str(policy.principals)
    assert len(policy.principals) == 1


@pytest.mark.parametrize(("guarded", "kept_s"), [((True, True), 60), ((True, False), 4), ((False, False), 4)])
def test_connections_are_kept_for_long_only_where_no_app_can_close_them(guarded: tuple[bool, ...], kept_s: int) -> None:
    endpoints = tuple(Endpoint(f"10.0.0.{number}", 1, one) for number, one in enumerate(guarded))
    observed = OriginObservation(OriginPhase.READY, endpoints)
    service = cart()
    plan = translate(world(service, edge_route(rules=TO_CART), observations={service.key: observed}))
    (cluster,) = plan.fleets["default"]["type.googleapis.com/envoy.config.cluster.v3.Cluster"].values()
    options = cluster.body.split(b"HttpProtocolOptions")[-1]
    assert bytes([0x0A, 2, 8, kept_s]) in options
