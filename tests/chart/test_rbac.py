"""What the operator may do, as a table: a change of the chart's rights is a change of this file.

That a real API server grants this and nothing else is for test_apiserver.py.
"""

from typing import Any

import pytest

from support.chart import find, rendered
from support.rights import rights_of, table

ALL_NAMESPACES = """
cluster  apps                   deployments                  create delete get list patch watch
cluster  authentication.k8s.io  tokenreviews                 create
cluster  core                   configmaps                   create delete get list patch watch
cluster  core                   pods                         list watch
cluster  edgerun.dev            edgeproxies                  create list watch
cluster  edgerun.dev            edgeproxies/status           patch
cluster  edgerun.dev            edgeroutes                   list watch
cluster  edgerun.dev            edgeroutes/status            patch
cluster  edgerun.dev            originrevisions              create delete get list patch watch
cluster  edgerun.dev            originrevisions/status       patch
cluster  edgerun.dev            originservices               list watch
cluster  edgerun.dev            originservices/status        patch
cluster  events.k8s.io          events                       create
cluster  networking.k8s.io      networkpolicies              create delete get list patch watch
own      autoscaling            horizontalpodautoscalers     create delete get list patch
own      coordination.k8s.io    leases                       create
own      coordination.k8s.io    leases edgerun               get update
own      core                   secrets                      create
own      core                   secrets edgerun-ca           get update
own      core                   secrets edgerun-keys         get update watch
own      core                   secrets edgerun-wire         get update
own      core                   serviceaccounts              create delete get list patch
own      core                   services                     create delete get list patch
own      discovery.k8s.io       endpointslices               create list
own      discovery.k8s.io       endpointslices edgerun-xds-leader  get patch
own      policy                 poddisruptionbudgets         create delete get list patch
"""

ONE_NAMESPACE = """
cluster  authentication.k8s.io  tokenreviews                 create
cluster  edgerun.dev            edgeproxies                  create list watch
cluster  edgerun.dev            edgeproxies/status           patch
default  events.k8s.io          events                       create
own      apps                   deployments                  create delete get list patch watch
own      autoscaling            horizontalpodautoscalers     create delete get list patch
own      coordination.k8s.io    leases                       create
own      coordination.k8s.io    leases edgerun               get update
own      core                   configmaps                   create delete get list patch watch
own      core                   pods                         list watch
own      core                   secrets                      create
own      core                   secrets edgerun-ca           get update
own      core                   secrets edgerun-keys         get update watch
own      core                   secrets edgerun-wire         get update
own      core                   serviceaccounts              create delete get list patch
own      core                   services                     create delete get list patch
own      discovery.k8s.io       endpointslices               create list
own      discovery.k8s.io       endpointslices edgerun-xds-leader  get patch
own      policy                 poddisruptionbudgets         create delete get list patch
shop     apps                   deployments                  create delete get list patch watch
shop     core                   configmaps                   create delete get list patch watch
shop     core                   pods                         list watch
shop     edgerun.dev            edgeroutes                   list watch
shop     edgerun.dev            edgeroutes/status            patch
shop     edgerun.dev            originrevisions              create delete get list patch watch
shop     edgerun.dev            originrevisions/status       patch
shop     edgerun.dev            originservices               list watch
shop     edgerun.dev            originservices/status        patch
shop     events.k8s.io          events                       create
shop     networking.k8s.io      networkpolicies              create delete get list patch watch
"""


@pytest.mark.parametrize(
    ("values", "wanted"), [({}, ALL_NAMESPACES), ({"watchNamespaces": ["shop"]}, ONE_NAMESPACE)], ids=["all", "one"]
)
def test_the_operator_has_these_rights_and_no_others(values: dict[str, list[str]], wanted: str) -> None:
    assert table(rights_of(values)) == [line.split() for line in wanted.strip().splitlines()]


@pytest.mark.parametrize(
    ("values", "scopes"), [({}, [""]), ({"watchNamespaces": ["shop", "fair"]}, ["fair", "shop"])], ids=["all", "two"]
)
def test_secrets_are_listed_only_where_somebody_wants_it(values: dict[str, Any], scopes: list[str]) -> None:
    """`list` is all that it is; the Secrets that the operator gets are its own."""
    by_default, enabled = (rights_of({**values, "secretRotation": {"enabled": on}}) for on in (False, True))
    more = [tuple(right) for right in enabled]
    for right in by_default:
        more.remove(tuple(right))
    listed = ("secrets", "configmaps")
    assert sorted(more) == sorted((scope, "", kind, "", "list") for scope in scopes for kind in listed)
    assert not [right for right in by_default if right.resource == "secrets" and right.verb == "list"]


@pytest.mark.parametrize("name", ["edgerun", "narrow"])
def test_whoever_owns_a_namespace_finds_a_role_that_grants_it_there(name: str) -> None:
    role = find(rendered({"fullnameOverride": name}), "ClusterRole", f"{name}-references")
    assert role["rules"] == [{"apiGroups": [""], "resources": ["secrets", "configmaps"], "verbs": ["list"]}]


def test_the_operator_watches_its_own_namespace_like_any_other() -> None:
    rights = rights_of({"watchNamespaces": ["edge-system"]})
    own = [right for right in rights if right.namespace == "edge-system" and right.resource == "deployments"]
    assert {right.verb for right in own} == {"create", "delete", "get", "list", "patch", "watch"}
    assert len(own) == 6, "granted twice"


def test_nothing_is_granted_by_a_star() -> None:
    for right in rights_of({}):
        assert "*" not in (right.group, right.resource, right.verb)


def test_no_rights_are_granted_where_somebody_else_does() -> None:
    assert not rights_of({"rbac": {"create": False}})
