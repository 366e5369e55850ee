"""The pods that guards run in: whose guard a caller is, and which guards take requests.

A guard shows the token of its pod's ServiceAccount, which the API server vouches for; whose guard it is, the label of
that pod says. Who may make pods in a namespace is therefore trusted with what is in it, as everywhere in Kubernetes.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ..api import originservice
from ..api.meta import ObjectKey
from ..api.originservice import GUARD_CONTAINER
from ..api.pods import Pod
from ..identity import Account
from ..sources.workloads import owner_of
from ..translate.identities import guard_fleet
from ..translate.observed import is_ready
from .verifiers import Verifier

_ACCOUNT = "system:serviceaccount:"

Object = Mapping[str, Any]


@dataclass(slots=True)
class GuardPods:
    """`pod` finds one by its key, None when it is not known."""

    pod: Callable[[ObjectKey], Object | None]
    _ready: dict[ObjectKey, tuple[Verifier, ...]] = field(default_factory=dict)

    def look(self, origin: ObjectKey, pods: Iterable[Object]) -> None:
        """These are the pods of the origin now."""
        read = (msgspec.convert(pod, Pod) for pod in pods)
        names = sorted(pod.metadata.name for pod in read if is_ready(pod) and _has_guard(pod))
        self._ready[origin] = tuple((guard_fleet(origin), name) for name in names)
        if not names:
            del self._ready[origin]

    def ready(self) -> tuple[Verifier, ...]:
        """Those that take requests, or soon will."""
        return tuple(one for some in self._ready.values() for one in some)

    def fleet(self, account: Account) -> str | None:
        """Of which fleet the caller is: "" when it is no guard of ours, None when its pod is not known."""
        namespace, _, name = account.username.removeprefix(_ACCOUNT).partition(":")
        if not name or not account.username.startswith(_ACCOUNT):
            return ""
        raw = self.pod(ObjectKey("Pod", namespace, account.pod))
        if raw is None:
            return None
        owner = owner_of(raw)
        if owner is None or owner.kind != originservice.KIND:
            return ""
        return guard_fleet(owner) if (raw["spec"].get("serviceAccountName") or "default") == name else ""


def _has_guard(pod: Pod) -> bool:
    return any(container.name == GUARD_CONTAINER for container in pod.spec.init_containers)
