"""Twenty rotations within a minute, and a revocation: each request is asked of verifiers that are not ours."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt
import pytest

from edgerun.credentials.issuer import JWKS_PATH, documents
from edgerun.credentials.keyring import Policy
from edgerun.credentials.keys import Phase
from edgerun.credentials.tokens import Token
from support.authorities import Clocks, Safe
from support.keyrings import new_keys
from support.rings import Edge, Plane, Verifier, attach, claims, moment, phase

STEP = timedelta(milliseconds=50)
SECOND = timedelta(seconds=1)
FAST = Policy(
    interval=3 * SECOND, overlap=2 * SECOND, life=2 * SECOND, clock=SECOND, handover=SECOND, propagation=SECOND
)


@dataclass(slots=True)
class Count:
    accepted: int = 0
    refused: int = 0

    def ask(self, token: Token | None, trusted: jwt.PyJWKSet, at: datetime) -> None:
        accepted = token is not None and _accepts(token, trusted, at)
        self.accepted += accepted
        self.refused += not accepted


@dataclass(slots=True)
class Street:
    """One plane, three verifiers that it tells, one stranger that reads the documents once a second, and an edge."""

    plane: Plane
    verifiers: list[Verifier]
    edge: Edge
    stranger: jwt.PyJWKSet
    kids: set[str]
    jwks: dict[str, jwt.PyJWK]

    def step(self, number: int, count: Count) -> None:
        self.plane.clocks.go(STEP)
        self.plane.tick()
        self.jwks |= {key.kid: jwt.PyJWK(dict(key.jwk)) for key in self.plane.keys.keys if key.kid not in self.jwks}
        self.verifiers[number % 3].deliver()
        self.edge.deliver()
        if number % 20 == 0:
            self.stranger = _read(self.plane)
        if self.edge.token:
            self.kids.add(self.edge.token.kid)
        now = moment(self.plane.clocks)
        for one in self.verifiers:
            trusted = [self.jwks[kid] for kid in one.trusts]
            count.ask(self.edge.token, _set(trusted), now)
        count.ask(self.edge.token, self.stranger, now)


@pytest.fixture
def street() -> Street:
    plane = Plane(Safe(), Clocks(), FAST, new_keys(), [])
    verifiers = [Verifier(plane) for _ in range(3)]
    edge = Edge(plane, claims(1)[0])
    plane.expected = list(verifiers)
    for one in (*verifiers, edge):
        attach(plane, one)
    plane.tick()
    street = Street(plane, verifiers, edge, _read(plane), set(), {})
    for number in range(10):  # until everybody has heard of the first key
        street.step(number, Count())
    return street


def test_twenty_rotations_in_a_minute_refuse_no_request(street: Street) -> None:
    count = Count()
    for number in range(int(62 * SECOND / STEP)):
        street.step(number, count)
    assert len(street.kids) >= 21, "that many keys have signed"
    assert (count.refused, count.accepted) == (0, 4 * int(62 * SECOND / STEP))
    keys = street.plane.keys
    assert len(keys.at(Phase.RETIRED)) == FAST.remembered
    assert len([key for key in keys.keys if key.phase.trusted]) <= 4


def test_a_revoked_key_is_refused_within_a_second_and_no_request_is(street: Street) -> None:
    count, old = Count(), street.edge.token
    assert old
    for number in range(int(1.6 * SECOND / STEP)):  # the next one is published by now
        street.step(number, count)
    old = street.edge.token
    assert old
    street.plane.revoke(old.kid)
    for number in range(int(SECOND / STEP)):
        street.step(number, count)
    told = [one.trusts for one in street.verifiers]
    assert phase(street.plane.keys, old.kid) is Phase.REVOKED
    assert not [kids for kids in told if old.kid in kids]
    assert street.edge.token
    assert street.edge.token.kid != old.kid
    assert count.refused == 0


def _read(plane: Plane) -> jwt.PyJWKSet:
    return jwt.PyJWKSet.from_json(documents(plane.keys, plane.terms.issuer)[JWKS_PATH].body.decode())


def _set(keys: list[jwt.PyJWK]) -> jwt.PyJWKSet:
    found = jwt.PyJWKSet.__new__(jwt.PyJWKSet)
    found.keys = keys
    return found


def _accepts(token: Token, trusted: jwt.PyJWKSet, at: datetime) -> bool:
    """As a verifier whose clock says `at`."""
    try:
        key = trusted[jwt.get_unverified_header(token.value)["kid"]]
    except KeyError:
        return False
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False}
    read = jwt.decode(token.value, key, algorithms=["ES256"], audience=token.claim.audience, options=options)
    return read["nbf"] <= at.timestamp() < read["exp"]
