"""The Secrets and ConfigMaps that a template reads, and when a change of one is a rollout.

Of each nothing is known but its version. The versions that the pods of an origin were made with are written on its
Deployment, so that a control plane that begins anew compares with those, and not with what it happens to see first.

Trap: a version that is not known is never a change. Whoever loses sight of the references, or sees them for the first
time, leaves the pods as they are.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import blake2b

from ..api import GROUP, conditions
from ..api.conditions import ConditionType
from ..api.meta import Condition, ObjectKey
from ..api.originservice import OriginService, SecretRotation
from ..api.pods import Deployment
from ..api.templates import Container, PodSpec
from .plan import Running
from .world import Installation, Referred, Rolled, Version, World

MARK = f"{GROUP}/references"  # on pods: another one makes other pods
RECORD = f"{GROUP}/reference-versions"  # on the Deployment
MAX_TOLD = 128  # of a status; the CRD has the same bound
MAX_LISTED = 5

_SECRET, _CONFIG_MAP = "Secret", "ConfigMap"
_Fields = Mapping[str, tuple[str, str]]  # field -> kind, and the field in it that has the name
_OF_VARIABLE: _Fields = {"secretKeyRef": (_SECRET, "name"), "configMapKeyRef": (_CONFIG_MAP, "name")}
_OF_VARIABLES: _Fields = {"secretRef": (_SECRET, "name"), "configMapRef": (_CONFIG_MAP, "name")}
_OF_VOLUME: _Fields = {"secret": (_SECRET, "secretName"), "configMap": (_CONFIG_MAP, "name")}
_OF_SOURCE: _Fields = {"secret": (_SECRET, "name"), "configMap": (_CONFIG_MAP, "name")}
_NOT_FOUND = re.compile(r'\b(secret|configmap) "([^"]+)" not found')  # of a kubelet
_NO_KEY = re.compile(r"couldn't find key \S+ in (Secret|ConfigMap) [^/\s]+/(\S+)")  # of a kubelet
_ACCOUNT = re.compile(r'User "system:serviceaccount:([^:"]+):([^:"]+)"')  # of an API server that refuses


@dataclass(frozen=True, slots=True)
class Reference:
    """Pods wait for what is not `optional`. `field` is the first one that names it, in a template of the user."""

    kind: str
    name: str
    optional: bool
    field: str


@dataclass(frozen=True, slots=True)
class Found:
    """What is known of all that a template reads, at this moment."""

    versions: tuple[Version, ...] = ()
    unseen: tuple[Reference, ...] = ()
    missing: tuple[Reference, ...] = ()  # pods wait for them
    refused: Mapping[str, str] | None = None  # kind -> why the operator may not look

    @property
    def complete(self) -> bool:
        """Whether pods could be made with these versions."""
        return not self.unseen and not self.missing


def references(service: OriginService) -> tuple[Reference, ...]:
    """Each Secret and ConfigMap once, in order of kind and name."""
    found: dict[tuple[str, str], Reference] = {}
    for one in _named_in(service.spec.template.spec):
        known = found.get((one.kind, one.name))
        if known is None or (known.optional and not one.optional):
            found[one.kind, one.name] = one
    return tuple(found[key] for key in sorted(found))


def wanted(origins: Iterable[OriginService]) -> Mapping[ObjectKey, frozenset[str]]:
    """The names whose versions matter, for each kind and namespace (as a key without a name)."""
    found: dict[ObjectKey, set[str]] = {}
    for service in origins:
        if rolls(service):
            for one in references(service):
                found.setdefault(ObjectKey(one.kind, service.metadata.namespace, ""), set()).add(one.name)
    return {key: frozenset(names) for key, names in found.items()}


def rolls(service: OriginService) -> bool:
    """Whether a change of what its template reads replaces its pods."""
    return service.spec.secret_rotation is SecretRotation.ROLLOUT


def found(service: OriginService, referred: Referred) -> Found:
    """What is known of the references of `service`."""
    namespace = service.metadata.namespace
    named = references(service)
    seen = {one: referred.versions.get(ObjectKey(one.kind, namespace, one.name)) for one in named}
    words = {kind: referred.refused.get(ObjectKey(kind, namespace, "")) for kind in {one.kind for one in named}}
    return Found(
        versions=tuple(Version(one.kind, one.name, version) for one, version in seen.items() if version is not None),
        unseen=tuple(one for one, version in seen.items() if version is None),
        missing=tuple(one for one, version in seen.items() if version == "" and not one.optional),
        refused={kind: said for kind, said in sorted(words.items()) if said},
    )


def rollout(run: Running, world: World) -> Rolled:
    """What the Deployment of a revision should bear. Another mark than it has is a rollout."""
    service, observed = run.service, world.observations.get(run.key)
    before = observed.rolled if observed else Rolled()
    if not rolls(service):
        return Rolled(mark=before.mark)  # to take it away would replace every pod
    now = found(service, world.referred)
    if not now.complete:
        return before
    known = {(kind, name): version for kind, name, version in before.versions}
    changed = any(known.get((kind, name), version) != version for kind, name, version in now.versions)
    return Rolled(now.versions, mark(now.versions) if changed else before.mark)


def mark(versions: Iterable[Version]) -> str:
    """The same for the same versions, in whatever order; nothing can be read from it."""
    written = record(versions)
    return blake2b(written.encode(), digest_size=5).hexdigest()


def record(versions: Iterable[Version]) -> str:
    """As it is written on a Deployment, for people too: neither a kind, a name nor a version has one of the signs."""
    return ",".join(f"{kind}/{name}={version}" for kind, name, version in sorted(versions))


def rolled(deployment: Deployment) -> Rolled:
    """What is written on a Deployment; what somebody else wrote there is nothing."""
    written = deployment.metadata.annotations.get(RECORD, "")
    parts = (re.fullmatch(r"(\w+)/([^=/]+)=(\w*)", part) for part in written.split(","))
    versions = tuple(Version(part[1], part[2], part[3]) for part in parts if part)
    return Rolled(versions, deployment.spec.template.metadata.annotations.get(MARK, ""))


def told(versions: Iterable[Version]) -> tuple[Version, ...]:
    """What a status says of them: those that are there."""
    return tuple(one for one in versions if one.version)[:MAX_TOLD]


def resolved(service: OriginService, now: Found, place: Installation) -> Condition | None:
    """Whether all that the template reads is there; None while it has not been looked for."""
    if now.refused:
        return conditions.false(ConditionType.RESOLVED_REFS, "RefNotPermitted", _refusal(service, now.refused, place))
    if now.missing:
        said = [_missing(service, one) for one in now.missing]
        more = f" and {len(said) - MAX_LISTED} more" if len(said) > MAX_LISTED else ""
        return conditions.false(ConditionType.RESOLVED_REFS, "ReferenceNotFound", "; ".join(said[:MAX_LISTED]) + more)
    return None if now.unseen else conditions.true(ConditionType.RESOLVED_REFS, "ResolvedRefs")


def located(service: OriginService, message: str) -> str:
    """A kubelet's words about what a container lacks, with the field that names it."""
    lacks = _NOT_FOUND.search(message) or _NO_KEY.search(message)
    if lacks is None:
        return message
    fields = {(one.kind.lower(), one.name): one.field for one in references(service)}
    field = fields.get((lacks[1].lower(), lacks[2]))
    return f"{message}; {field} names it, in namespace {service.metadata.namespace}" if field else message


def mounted(service: OriginService) -> str:
    """What must be there before the containers of a pod are made, "" for nothing. No status says which of it lacks."""
    volumes = (one for one in references(service) if not one.optional and ".volumes[" in one.field)
    named = [f'{one.kind} "{one.name}" ({one.field})' for one in volumes]
    more = f" and {len(named) - MAX_LISTED} more" if len(named) > MAX_LISTED else ""
    return f"{', '.join(named[:MAX_LISTED])}{more} of namespace {service.metadata.namespace}" if named else ""


def _missing(service: OriginService, one: Reference) -> str:
    namespace = service.metadata.namespace
    return f'{one.field}: {one.kind} "{one.name}" not found in namespace {namespace}; new replicas wait for it'


def _refusal(service: OriginService, refused: Mapping[str, str], place: Installation) -> str:
    """With both ways out. The API server's words say best who was refused."""
    namespace, role = service.metadata.namespace, f"{place.name}-references"
    who = _ACCOUNT.search(next(iter(refused.values())))
    account = f"{who[1]}:{who[2]}" if who else f"{place.namespace}:{place.name}"
    kinds = " and ".join(f"{kind}s" for kind in refused)
    return (
        f"spec.secretRotation: Rollout needs the operator to be allowed to list {kinds} of namespace {namespace}; "
        f"until it is, no change of them starts a rollout. Allow it here: kubectl -n {namespace} create rolebinding "
        f"{role} --clusterrole={role} --serviceaccount={account}; or wherever the operator serves, by "
        "secretRotation.enabled of its Helm chart; or set spec.secretRotation: Ignore"
    )


def _named_in(spec: PodSpec) -> Iterator[Reference]:
    at = "spec.template.spec"
    for group, containers in (("containers", spec.containers), ("initContainers", spec.init_containers)):
        for number, container in enumerate(containers):
            yield from _named_by(f"{at}.{group}[{number}]", container)
    for number, volume in enumerate(spec.volumes):
        yield from _named(f"{at}.volumes[{number}]", volume, _OF_VOLUME)
        projected = volume.get("projected")
        sources = projected.get("sources") if isinstance(projected, Mapping) else None
        for index, source in enumerate(sources if isinstance(sources, list | tuple) else ()):
            yield from _named(f"{at}.volumes[{number}].projected.sources[{index}]", source, _OF_SOURCE)


def _named_by(at: str, container: Container) -> Iterator[Reference]:
    for number, variable in enumerate(container.env):
        yield from _named(f"{at}.env[{number}].valueFrom", variable.value_from, _OF_VARIABLE)
    for number, source in enumerate(container.env_from):
        yield from _named(f"{at}.envFrom[{number}]", source, _OF_VARIABLES)


def _named(at: str, part: object, fields: _Fields) -> Iterator[Reference]:
    """Of whatever was written there: an API server has not judged it yet."""
    for field, (kind, name_field) in fields.items():
        chosen = part.get(field) if isinstance(part, Mapping) else None
        name = chosen.get(name_field) if isinstance(chosen, Mapping) else None
        if isinstance(chosen, Mapping) and isinstance(name, str) and name:
            yield Reference(kind, name, chosen.get("optional") is True, f"{at}.{field}.{name_field}")
