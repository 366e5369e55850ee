"""Rights in Kubernetes, one verb on one kind each: those that the chart grants, and those that a server confirms.

`namespace` is "" for the whole cluster, `name` is "" for all objects of the kind. Trap: RBAC only adds. What one role
does not grant another may, so rights are always those of somebody, out of all that is bound to them.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from support.chart import NAMESPACE, Object, rendered


class Right(NamedTuple):
    namespace: str
    group: str
    resource: str
    name: str
    verb: str


def rights_of(values: Object, *, account: str = "edgerun") -> list[Right]:
    """What the chart grants to a ServiceAccount of its namespace."""
    found = rendered(values)
    roles = {(one["kind"], one["metadata"].get("namespace", ""), one["metadata"]["name"]): one for one in found}
    rights: list[Right] = []
    for binding in found:
        if binding["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
            continue
        if {"kind": "ServiceAccount", "name": account, "namespace": NAMESPACE} in binding["subjects"]:
            namespace = binding["metadata"].get("namespace", "")
            kind, name = binding["roleRef"]["kind"], binding["roleRef"]["name"]
            role = roles[kind, namespace if kind == "Role" else "", name]
            rights += of_rules(namespace, role["rules"])
    return rights


def of_rules(namespace: str, rules: Sequence[Object]) -> Iterator[Right]:
    """Of RBAC's rules, or of those of a SelfSubjectRulesReview."""
    for rule in rules:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for name in rule.get("resourceNames", ("",)):
                    yield from (Right(namespace, group, resource, name, verb) for verb in rule["verbs"])


def table(rights: Sequence[Right]) -> list[list[str]]:
    """For people: a line for each kind, without what is empty."""
    verbs: dict[tuple[str, str, str, str], list[str]] = defaultdict(list)
    for right in rights:
        scope = {"": "cluster", NAMESPACE: "own"}.get(right.namespace, right.namespace)
        verbs[scope, right.group or "core", right.resource, right.name].append(right.verb)
    return sorted([*(part for part in key if part), *sorted(found)] for key, found in verbs.items())
