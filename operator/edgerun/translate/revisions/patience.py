"""For how long a revision that has lost its requests is kept for those that are still under way.

As long as any is, but not for ever: a WebSocket may live for days. What a user allows a request counts, be it at the
edge or at the end of a pod; where nothing is said, the 5 minutes that Knative and Cloud Run give a request.
"""

from collections.abc import Iterable, Mapping

from ...api.durations import seconds
from ...api.edgeroute import EdgeRoute
from ...api.meta import ObjectKey
from ...api.originservice import KIND
from ...api.templates import Template

LEAST_S = 300.0


def longest_request_s(routes: Iterable[EdgeRoute]) -> Mapping[ObjectKey, float]:
    """By OriginService the longest time that a rule which leads there allows a request; those without are left out."""
    found: dict[ObjectKey, float] = {}
    for route in routes:
        for rule in route.spec.rules:
            allowed_s = seconds(rule.timeouts.request) if rule.timeouts.request else 0.0
            for service in (origin.service for origin in rule.origins if origin.service and allowed_s):
                key = ObjectKey(KIND, service.namespace or route.metadata.namespace, service.name)
                found[key] = max(allowed_s, found.get(key, 0.0))
    return found


def patience_s(template: Template, longest_s: float = 0.0) -> float:
    """Of a revision of that template; `longest_s` is what a request to it may take by the rules."""
    return max(LEAST_S, longest_s, template.spec.termination_grace_period_seconds or 0)
