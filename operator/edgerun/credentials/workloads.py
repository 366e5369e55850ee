"""The certificates by which edges and guards know each other: one for each SPIFFE ID that somebody needs now.

They are in memory only, of whoever leads; another leader issues its own, by the same authorities. The core is pure;
what changes is one mapping in `Workloads`.
Trap: what is handed out must be believed by all others, so a certificate and the `bundle` have to come from the same
authorities: hand both out, or neither.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta
from functools import partial
from hashlib import sha256

from .authority import Authorities, Leaf, Policy, bundle, issue, renewal, signer, worn
from .certificates import ENTROPY, Entropy, Pair, new_workload

POLICY = Policy(overlap=timedelta(hours=24))
"""Who has heard of no successor for longer than this has no valid certificate of its own either."""

Leaves = Mapping[str, Leaf]


def renewed(
    leaves: Leaves,
    wanted: Collection[str],
    authorities: Authorities,
    now: datetime,
    *,
    policy: Policy = POLICY,
    entropy: Entropy = ENTROPY,
) -> Leaves:
    """With a new certificate for each SPIFFE ID whose one is worn or missing, and without those wanted no more.

    When no authority may sign now, those that there are stay.
    """
    kept = {one: leaves[one] for one in sorted(wanted) if one in leaves}
    authority = signer(authorities, now)
    if authority is None:
        return kept
    good = {one for one, leaf in kept.items() if not worn(leaf, authorities, now, policy, lot=_lot(one))}
    due = sorted(set(wanted) - good)
    return kept | {one: issue(authority, partial(new_workload, one), now, policy, entropy) for one in due}


class Workloads:
    """The certificates that there are; `authorities` tells by whom they may be signed now, `Rotation`'s do."""

    def __init__(
        self, authorities: Callable[[], Authorities], *, policy: Policy = POLICY, entropy: Entropy = ENTROPY
    ) -> None:
        self._authorities, self._policy, self._entropy = authorities, policy, entropy
        self._leaves: Leaves = {}

    def pairs(self, wanted: Collection[str], now: datetime) -> Mapping[str, Pair]:
        """By SPIFFE ID, what each shows from now on; the same as the last time unless it is worn.

        Nothing for those who have none, as long as no authority may sign.
        """
        leaves, policy, entropy = self._leaves, self._policy, self._entropy
        self._leaves = renewed(leaves, wanted, self._authorities(), now, policy=policy, entropy=entropy)
        return {one: leaf.pair for one, leaf in self._leaves.items()}

    @property
    def bundle(self) -> str:
        """The authorities to trust, those that do not sign yet included; "" before there are any."""
        return bundle(self._authorities())

    @property
    def next_due(self) -> datetime | None:
        """When the first certificate should be replaced; None when there are none."""
        return min((renewal(leaf, self._policy, lot=_lot(one)) for one, leaf in self._leaves.items()), default=None)


def _lot(spiffe_id: str) -> float:
    """Not all at once, and each always at the same part of its life."""
    return int.from_bytes(sha256(spiffe_id.encode()).digest()[:8], "big") / 2**64
