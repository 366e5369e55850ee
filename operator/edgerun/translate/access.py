"""Who may call an origin, as its OriginService says it and as its guards ask it.

A route is told beforehand when its origin would not let it in; it is the guard that keeps it out.
Trap: another namespace's origin that does not name the caller must look like one that is not there.
"""

from collections.abc import Iterator

from ..api.edgeroute import EdgeRoute
from ..api.originservice import Invoker, OriginService
from .guard_policy import Admission, Invokers
from .identities import origin_id, subject
from .world import Trust


def admission(service: OriginService, trust: Trust) -> Admission:
    """What the guards of this origin ask of every caller."""
    return Admission(
        audience=origin_id(trust.trust_domain, service.key),
        issuer=trust.issuer,
        jwks=trust.jwks,
        invokers=invokers(service),
        leeway_s=trust.leeway_s,
        max_life_s=trust.max_life_s,
    )


def invokers(service: OriginService) -> Invokers:
    """Without a word about it the routes of the origin's own namespace."""
    own, given = service.metadata.namespace, service.spec.access.invokers
    if given is None:
        return Invokers(namespaces=(own,))
    return Invokers(
        accounts=tuple(sorted({f"{one.namespace or own}/{one.service_account_name}" for one in _accounts(given)})),
        namespaces=tuple(sorted({one.namespace for one in given if one.namespace and not one.service_account_name})),
        subjects=tuple(sorted({one.subject for one in given if one.subject})),
    )


def may_call(route: EdgeRoute, service: OriginService) -> bool:
    """Whether the guards of `service` let in whom the edge calls it as, for this route."""
    namespace, account = route.metadata.namespace, route.spec.service_account_name
    allowed = invokers(service)
    if namespace in allowed.namespaces or f"{namespace}/{account}" in allowed.accounts:
        return True
    return subject(namespace, account) in allowed.subjects


def _accounts(given: tuple[Invoker, ...]) -> Iterator[Invoker]:
    return (one for one in given if one.service_account_name)
