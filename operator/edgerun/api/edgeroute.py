"""EdgeRoute: what happens at the edge before an origin is bothered.

The match words and their precedence are Gateway API's (HTTPRoute v1). Field documentation lives in
`crds/edgeroutes.yaml`, which is the contract; these are the same shapes for the control plane.
"""

from collections.abc import Mapping
from enum import StrEnum

from .meta import Condition, Frozen, Kept, ObjectKey, ObjectMeta

KIND = "EdgeRoute"
DEFAULT_SERVICE_ACCOUNT = "default"  # there is one in every namespace


class PathMatchType(StrEnum):
    EXACT = "Exact"
    PATH_PREFIX = "PathPrefix"
    REGULAR_EXPRESSION = "RegularExpression"


class StringMatchType(StrEnum):
    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


class PathMatch(Frozen, frozen=True):
    type: PathMatchType = PathMatchType.PATH_PREFIX
    value: str = "/"


class NamedMatch(Frozen, frozen=True):
    """A header or a query parameter that a request must carry."""

    name: str
    value: str
    type: StringMatchType = StringMatchType.EXACT


class RouteMatch(Frozen, frozen=True):
    """All parts must hold. An empty match holds for every request."""

    path: PathMatch = PathMatch()
    method: str | None = None
    headers: tuple[NamedMatch, ...] = ()
    query_params: tuple[NamedMatch, ...] = ()


class ServiceReference(Frozen, frozen=True):
    """An OriginService in the EdgeRoute's own namespace, or in another one whose `access.invokers` name the caller;
    with a `tag` that revision of it alone."""

    name: str
    namespace: str = ""
    tag: str = ""


class WeightedOrigin(Frozen, frozen=True):
    """Exactly one of `service` and `url`. Its share is `weight` of the sum of all weights of the rule."""

    service: ServiceReference | None = None
    url: str | None = None
    weight: int = 1


class PathRewrite(Frozen, frozen=True):
    """Exactly one of the two; `replace_prefix` replaces what the PathPrefix match consumed."""

    replace_full_path: str | None = None
    replace_prefix: str | None = None


class Respond(Frozen, frozen=True):
    """An answer given by the edge itself."""

    status: int = 200
    body: str = ""


class Redirect(Frozen, frozen=True):
    """Where the client is sent; what is not given stays as it was in the request."""

    scheme: str | None = None
    hostname: str | None = None
    port: int | None = None
    path: PathRewrite | None = None
    status_code: int = 302


class Rewrite(Frozen, frozen=True):
    """What the origin sees in place of the client's host and path."""

    hostname: str | None = None
    path: PathRewrite | None = None


class HeaderChanges(Frozen, frozen=True):
    """`remove` comes first, then `set` (replaces), then `add` (appends)."""

    set: Mapping[str, str] = {}
    add: Mapping[str, str] = {}
    remove: tuple[str, ...] = ()


class Timeouts(Frozen, frozen=True):
    """`request`: from the whole request received to the whole response sent (GEP-1742), a GEP-2257 duration."""

    request: str | None = None


class Rule(Frozen, frozen=True):
    """One of `origins`, `respond` and `redirect` answers whatever one of `matches` holds for."""

    name: str | None = None
    matches: tuple[RouteMatch, ...] = (RouteMatch(),)
    origins: tuple[WeightedOrigin, ...] = ()
    respond: Respond | None = None
    redirect: Redirect | None = None
    rewrite: Rewrite | None = None
    request_headers: HeaderChanges = HeaderChanges()
    response_headers: HeaderChanges = HeaderChanges()
    timeouts: Timeouts = Timeouts()


class EdgeRouteSpec(Frozen, frozen=True):
    rules: tuple[Rule, ...]
    edge: str = "default"
    hostnames: tuple[str, ...] = ()
    service_account_name: str = DEFAULT_SERVICE_ACCOUNT
    tag_header: bool = False


class EdgeStatus(Frozen, frozen=True, omit_defaults=False):
    """How far one edge is: `programmed` of its `proxies` have acknowledged this generation."""

    name: str
    proxies: int
    programmed: int


class EdgeRouteStatus(Frozen, frozen=True):
    """`url` is where its first hostname is reached through the edge."""

    observed_generation: int = 0
    serving: Kept | None = None
    url: str = ""
    conditions: tuple[Condition, ...] = ()
    edges: tuple[EdgeStatus, ...] = ()


class EdgeRoute(Frozen, frozen=True):
    metadata: ObjectMeta
    spec: EdgeRouteSpec

    def __hash__(self) -> int:
        return hash((self.metadata.namespace, self.metadata.name, self.metadata.generation))

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(KIND, self.metadata.namespace, self.metadata.name)
