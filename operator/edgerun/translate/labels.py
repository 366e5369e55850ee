"""The labels by which the operator finds what it made, and the names of what it makes.

Trap: a Deployment's selector can never be changed, so selectors hold as little as tells one thing from all others.
"""

from collections.abc import Mapping

from ..api import GROUP

MANAGED_BY = "app.kubernetes.io/managed-by"
MANAGER = "edgerun"
OURS = f"{MANAGED_BY}={MANAGER}"  # as a label selector
EDGE_PROXY = f"{GROUP}/edge-proxy"
EDGE_PREFIX = "edge"
ORIGIN_SERVICE = f"{GROUP}/origin-service"
REVISION = f"{GROUP}/revision"
EPOCH = f"{GROUP}/epoch"  # an annotation of the Deployment of a revision that was at zero once, or is about to be
EPOCH_BEFORE = f"{GROUP}/epoch-before"  # as long as requests may be under way to it
_NAME = "app.kubernetes.io/name"
_INSTANCE = "app.kubernetes.io/instance"
_COMPONENT = "app.kubernetes.io/component"
# The operator's own pods, as the chart labels them whatever the release is called.
OPERATOR: Mapping[str, str] = {_NAME: "edgerun", _COMPONENT: "operator"}
ANY_EDGE: Mapping[str, str] = {_NAME: EDGE_PREFIX, MANAGED_BY: MANAGER}  # the pods of all fleets


def object_name(fleet: str) -> str:
    """What every object of a fleet is called."""
    return f"{EDGE_PREFIX}-{fleet}"


def edge_selector(fleet: str) -> Mapping[str, str]:
    return {_NAME: "edge", EDGE_PROXY: fleet}


def edge_labels(fleet: str) -> Mapping[str, str]:
    return {**edge_selector(fleet), _INSTANCE: fleet, MANAGED_BY: MANAGER}


def origin_selector(service: str) -> Mapping[str, str]:
    return {_NAME: "origin", ORIGIN_SERVICE: service}


def origin_labels(service: str) -> Mapping[str, str]:
    return {**origin_selector(service), _INSTANCE: service, MANAGED_BY: MANAGER}


def revision_selector(service: str, revision: str) -> Mapping[str, str]:
    return {**origin_selector(service), REVISION: revision}


def revision_labels(service: str, revision: str) -> Mapping[str, str]:
    return {**origin_labels(service), REVISION: revision}


def origin_object_name(service: str, kind: str) -> str:
    """What the objects of an origin are called that all of its revisions share, such that two origins never share one.
    What users are likely to call after their app themselves, a NetworkPolicy above all, is called otherwise."""
    return {"ConfigMap": f"{service}-guard", "NetworkPolicy": f"edgerun-{service}"}.get(kind, service)
