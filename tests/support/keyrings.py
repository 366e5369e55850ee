"""Signing keys for tests: the same ones in the same order each time."""

from collections.abc import Callable
from itertools import count

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, derive_private_key

from edgerun.credentials.keys import NewKey, Private


def new_keys(first: int = 1) -> NewKey:
    numbers = count(first)
    return lambda: derive_private_key(next(numbers), SECP256R1())


def jtis() -> Callable[[], str]:
    numbers = count(1)
    return lambda: f"jti-{next(numbers)}"


def private(number: int = 1) -> Private:
    return derive_private_key(number, SECP256R1())
