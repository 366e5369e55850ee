"""What proxies are sent beside what is in a plan: credentials and certificates, as SDS resources.

A fleet is sent all of them or is not sent anything: a control plane that begins, and has nothing to hand out yet, must
not take from a proxy what it has.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from ..credentials.certificates import Pair
from ..credentials.tokens import Token
from ..translate.identities import AUTHORITIES_SECRET, WORKLOAD_SECRET, Claim, credential_secret
from ..translate.plan import SECRET, Fleets, Plan, Resource
from ..translate.secrets import authorities, certificate, credential

Secrets = Mapping[str, Mapping[str, Resource]]  # name of a fleet -> name of a secret
_Made = tuple[object, Resource]  # of what it was made


def complete(plan: Plan, secrets: Secrets) -> Fleets:
    """The fleets of `plan` with their secrets, those of which one is missing left out."""
    nothing: Mapping[str, Resource] = {}
    found = {fleet: secrets.get(fleet, nothing) for fleet in plan.fleets}
    return {
        fleet: {**resources, SECRET: found[fleet]} if found[fleet] else resources
        for fleet, resources in plan.fleets.items()
        if _needed(plan, fleet) <= found[fleet].keys()
    }


def _needed(plan: Plan, fleet: str) -> Set[str]:
    certificates = {WORKLOAD_SECRET, AUTHORITIES_SECRET} if fleet in plan.identities else set()
    return certificates | {credential_secret(claim) for claim in plan.claims.get(fleet, ())}


@dataclass(slots=True)
class Handout:
    """Makes each resource once, and anew when what it is made of has changed."""

    _made: dict[str, _Made] = field(default_factory=dict, repr=False)

    def of(self, plan: Plan, tokens: Mapping[Claim, Token], pairs: Mapping[str, Pair], bundle: str) -> Secrets:
        """For each fleet of `plan` what there is for it."""
        before, self._made = self._made, {}
        credentials = {claim: self._credential(token, before) for claim, token in tokens.items()}
        certificates = {name: self._certificate(name, pair, before) for name, pair in pairs.items() if bundle}
        trusted = authorities(bundle) if bundle else None
        found = {}
        for fleet in plan.fleets:
            mine = [credentials[claim] for claim in plan.claims.get(fleet, ()) if claim in credentials]
            shown = certificates.get(plan.identities.get(fleet, ""))
            found[fleet] = {one.name: one for one in (*mine, shown, trusted if shown else None) if one}
        return found

    def _credential(self, token: Token, before: Mapping[str, _Made]) -> Resource:
        name = credential_secret(token.claim)
        return self._keep(name, token, before) or self._new(name, token, credential(token.claim, token.value))

    def _certificate(self, identity: str, pair: Pair, before: Mapping[str, _Made]) -> Resource:
        return self._keep(identity, pair, before) or self._new(identity, pair, certificate(pair.certificate, pair.key))

    def _keep(self, name: str, source: object, before: Mapping[str, _Made]) -> Resource | None:
        made = before.get(name)
        if made is None or made[0] is not source:
            return None
        self._made[name] = made
        return made[1]

    def _new(self, name: str, source: object, resource: Resource) -> Resource:
        self._made[name] = source, resource
        return resource
