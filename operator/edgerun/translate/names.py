"""Names of Envoy resources: each says what the thing is, never where it stands in a list.

A cluster that is renamed when rules are reordered would be torn down and built again under load.
"""

from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from ..api import originrevision, originservice
from ..api.edgeroute import EdgeRoute, Rule
from ..api.meta import ObjectKey

LISTENER_NAME = "edge"
PROBES_LISTENER_NAME = "probes"
ROUTES_NAME = "edge"
MISSING_CLUSTER = "missing"  # never delivered: its share of a split answers 500

_ORIGIN = "origin"
DEFAULT_PORTS = {"http": 80, "https": 443}


def revision_cluster(service: ObjectKey, revision: str, epoch: int = 0) -> str:
    """The replicas of one revision of an OriginService, which without any revision has none. It gets another name each
    time that they are no more."""
    asked_again = f"~{epoch}" if epoch else ""
    return f"{_ORIGIN}/{service.namespace}/{service.name}/{revision}{asked_again}"


def revision_key(service: ObjectKey, revision: str) -> ObjectKey:
    """The OriginRevision of that name."""
    return ObjectKey(originrevision.KIND, service.namespace, revision)


def app_cluster(service: ObjectKey) -> str:
    """What a guard calls the app that it stands before."""
    return f"{_ORIGIN}/{service.namespace}/{service.name}"


class Called(NamedTuple):
    """Whose replicas a cluster has. What is called without any revision has the name ""."""

    service: ObjectKey
    revision: ObjectKey
    epoch: int


@lru_cache(maxsize=16_384)
def called(cluster: str) -> Called | None:
    """What is behind a cluster, whoever calls it; None when that is no OriginService."""
    kind, *parts = cluster.partition("@")[0].split("/")
    if kind != _ORIGIN or len(parts) != 3:
        return None
    namespace, name, revision = parts
    revision, _, epoch = revision.partition("~")
    service = ObjectKey(originservice.KIND, namespace, name)
    return Called(service, revision_key(service, revision), int(epoch or 0))


def revision_of(cluster: str) -> ObjectKey | None:
    """The OriginRevision behind a cluster; None when there is none."""
    found = called(cluster)
    return found.revision if found and found.revision.name else None


def called_by(cluster: str, namespace: str, service_account: str) -> str:
    """The cluster as one caller has it, whose credential its requests carry: callers share no connections.

    Of an account's name no dot is left, for a statistic ends there; no name of Kubernetes has a colon.
    """
    return f"{cluster}@{namespace}/{service_account.replace('.', ':')}"


def caller_of(cluster: str) -> str:
    """What `called_by` added."""
    return "".join(cluster.partition("@")[1:])


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
