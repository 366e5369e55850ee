"""What edges, guards and callers are called: in tokens, in certificates, and as the names of their secrets.

An origin has one name for both of its proofs. Its SPIFFE ID is what its guard's certificate says, and the audience of
the credentials for it; no `url` of an EdgeRoute can have that audience, for those begin with http.
"""

from dataclasses import dataclass

from ..api import originservice
from ..api.meta import ObjectKey
from .names import url_authority, url_parts

WORKLOAD_SECRET = "workload"  # noqa: S105 - the certificate of a proxy, by SDS
AUTHORITIES_SECRET = "authorities"  # noqa: S105 - by which it knows the other ones'
_GUARD = "guard/"


@dataclass(frozen=True, slots=True, order=True)
class Claim:
    """Who calls whom: what a credential is for."""

    subject: str
    audience: str


def subject(namespace: str, service_account: str) -> str:
    """As Kubernetes calls a ServiceAccount in tokens of its own."""
    return f"system:serviceaccount:{namespace}:{service_account}"


def origin_id(trust_domain: str, origin: ObjectKey) -> str:
    """The SPIFFE ID of the guards of an OriginService, and the audience of credentials for it."""
    return f"spiffe://{trust_domain}/ns/{origin.namespace}/origin/{origin.name}"


def edge_prefix(trust_domain: str) -> str:
    """What the SPIFFE IDs of all edge proxies begin with, and those of nobody else."""
    return f"spiffe://{trust_domain}/edge/"


def edge_id(trust_domain: str, fleet: str) -> str:
    """The SPIFFE ID of the proxies of a fleet."""
    return edge_prefix(trust_domain) + fleet


def url_audience(url: str) -> str:
    """The audience of credentials for an origin elsewhere: its scheme and authority."""
    return f"{url_parts(url)[0]}://{url_authority(url)}"


def credential_secret(claim: Claim) -> str:
    """The name of the SDS secret with the credential for this claim."""
    return f"credential/{claim.subject}/{claim.audience}"


def guard_fleet(origin: ObjectKey) -> str:
    """What the guards of an origin are called as a fleet; no EdgeProxy can have such a name."""
    return f"{_GUARD}{origin.namespace}/{origin.name}"


def is_guard(fleet: str) -> bool:
    return fleet.startswith(_GUARD)


def guarded_origin(fleet: str) -> ObjectKey | None:
    """The origin whose guards are this fleet; None when it is one of edges."""
    if not is_guard(fleet):
        return None
    namespace, _, name = fleet.removeprefix(_GUARD).partition("/")
    return ObjectKey(originservice.KIND, namespace, name)
