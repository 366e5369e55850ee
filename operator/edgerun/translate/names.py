"""Names of Envoy resources: each says what the thing is, never where it stands in a list.

A cluster that is renamed when rules are reordered would be torn down and built again under load.
"""

from functools import lru_cache
from urllib.parse import urlsplit

from ..api.edgeroute import EdgeRoute, Rule
from ..api.meta import ObjectKey
from ..api.originservice import KIND

LISTENER_NAME = "edge"
PROBES_LISTENER_NAME = "probes"
ROUTES_NAME = "edge"
MISSING_CLUSTER = "missing"  # never delivered: its share of a split answers 500

DEFAULT_PORTS = {"http": 80, "https": 443}


def service_cluster(key: ObjectKey) -> str:
    return f"origin/{key.namespace}/{key.name}"


def origin_of(cluster: str) -> ObjectKey | None:
    """The OriginService behind a cluster, whoever calls it; None when there is another thing."""
    kind, _, name = cluster.partition("@")[0].partition("/")
    namespace, slash, service = name.partition("/")
    return ObjectKey(KIND, namespace, service) if kind == "origin" and slash else None


def called_by(cluster: str, namespace: str, service_account: str) -> str:
    """The cluster as one caller has it, whose credential its requests carry: callers share no connections.

    Of an account's name no dot is left, for a statistic ends there; no name of Kubernetes has a colon.
    """
    return f"{cluster}@{namespace}/{service_account.replace('.', ':')}"


@lru_cache(maxsize=4_096)
def url_parts(url: str) -> tuple[str, str, int]:
    """Scheme, host and port of an origin's url, the port made explicit."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or DEFAULT_PORTS[parts.scheme]


def url_authority(url: str) -> str:
    """What a client of `url` sends as Host (RFC 9110, 7.2): the port only when it is not the scheme's own."""
    scheme, host, port = url_parts(url)
    name = f"[{host}]" if ":" in host else host
    return name if port == DEFAULT_PORTS[scheme] else f"{name}:{port}"


def url_cluster(url: str) -> str:
    scheme, host, port = url_parts(url)
    return f"url/{scheme}://{host}:{port}"


def rule_name(route: EdgeRoute, rule: Rule, index: int) -> str:
    """What logs and tables call a rule: namespace/route/rule, by its name or else its position."""
    return f"{route.metadata.namespace}/{route.metadata.name}/{rule.name or index}"
