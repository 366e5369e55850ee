"""What a control plane adds to a plan before proxies get it: real credentials and certificates, good for today."""

from datetime import UTC, datetime, timedelta
from functools import cache

from edgerun.credentials.authority import Authority
from edgerun.credentials.certificates import ENTROPY, Pair, new_workload_authority
from edgerun.credentials.keys import Key, Phase, entered, new, new_private
from edgerun.credentials.tokens import Terms, Token, Wallet
from edgerun.credentials.workloads import Workloads
from edgerun.runtime.handout import Handout, Secrets, complete
from edgerun.translate.identities import Claim
from edgerun.translate.plan import Fleets, Plan
from edgerun.translate.world import Trust


def with_secrets(plan: Plan) -> Fleets:
    """All fleets of `plan`, with a credential for each claim and a certificate for each identity."""
    return complete(plan, secrets(plan))


def secrets(plan: Plan) -> Secrets:
    """For a `Controller`: equal ones for equal claims and identities, for as long as this process lives."""
    tokens = {claim: _token(claim) for some in plan.claims.values() for claim in some}
    pairs = {identity: _pair(identity) for identity in plan.identities.values()}
    return Handout().of(plan, tokens, pairs, _authority().certificate)


@cache
def _token(claim: Claim) -> Token:
    return Wallet().renewed({claim}, datetime.now(UTC), _key(), Terms(issuer=Trust().issuer)).tokens[claim]


@cache
def _pair(identity: str) -> Pair:
    return Workloads(lambda: (_authority(),)).pairs({identity}, datetime.now(UTC))[identity]


@cache
def _key() -> Key:
    """One that signs."""
    now = datetime.now(UTC)
    key = new(new_private(), now)
    for phase in (Phase.PUBLISHED, Phase.SIGNING):
        key = entered(key, phase, now)
    return Key(x=key.x, y=key.y, private=key.private, history=key.history, life=timedelta(hours=1))


@cache
def _authority() -> Authority:
    now = datetime.now(UTC)
    pair = new_workload_authority((Trust().trust_domain,), now - timedelta(hours=1), now + timedelta(days=1), ENTROPY)
    return Authority(pair.certificate, pair.key, signs=True)
