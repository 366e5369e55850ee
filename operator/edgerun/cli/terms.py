"""What the operator is told about tokens, their keys and the names of who shows them: read, and checked all at once.

Trap: a value that only seems to work costs requests later. An issuer that verifiers compare differently refuses all.
"""

import argparse
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from ..api.durations import seconds

NAME_LIMIT = 100  # of a trust domain: an audience, which holds it and the names of an origin, has 255 characters
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_NAME = re.compile(rf"{_LABEL}(\.{_LABEL})*\Z")
_TOKEN_LIFE = ("5m", "24h")
_KEY_TIME = ("10m", "8760h")  # no less than verifiers that poll the issuer take to see a key: `keyring.Policy`
_RENEWAL = (0.1, 0.9)

Found = tuple[Mapping[str, Any], tuple[str, ...]]


def add(command: argparse.ArgumentParser) -> None:
    """The flags."""
    flag = command.add_argument
    flag("--issuer", metavar="URL", help="who signs the edge's tokens (default: https://NAME.NAMESPACE.svc)")
    flag("--trust-domain", metavar="NAME", help="of the SPIFFE IDs of edge and origins (default: cluster.local)")
    flag("--token-life", metavar="DURATION", help=f"{_between(_TOKEN_LIFE)} (default: 1h)")
    flag("--token-renewal", metavar="PART", help="the part of its life after which a token is replaced (default: 0.5)")
    flag("--key-interval", metavar="DURATION", help=f"how long a key signs, {_between(_KEY_TIME)} (default: 24h)")
    flag("--key-overlap", metavar="DURATION", help="how long before it signs a key is told (default: 24h)")


def read(given: Mapping[str, Any]) -> Found:
    """What was given as `ClusterSettings` has it, and what is wrong with the rest of it."""
    found: dict[str, Any] = {}
    problems: list[str] = []
    for name, reader in _READERS.items():
        text = given.get(name)
        if text is None:
            continue
        try:
            found[name] = reader(text)
        except ValueError as error:
            problems.append(f"--{name.replace('_', '-')} (or EDGERUN_{name.upper()}): {error}")
    return found, tuple(problems)


def _issuer(text: str) -> str:
    from ..credentials.issuer import issuer_problem  # it loads cryptography, which no other command needs

    if problem := issuer_problem(text):
        raise ValueError(problem)
    return text


def _trust_domain(text: str) -> str:
    if len(text) <= NAME_LIMIT and _NAME.match(text):
        return text
    raise ValueError(
        f"{text!r} cannot be a trust domain; give a DNS name of at most {NAME_LIMIT} lower-case letters, digits, - "
        "and ., such as cluster.local"
    )


def _duration(bounds: tuple[str, str]) -> Callable[[str], timedelta]:
    least, most = map(seconds, bounds)

    def reader(text: str) -> timedelta:
        try:
            value = seconds(text)
        except ValueError:
            raise ValueError(f"{text!r} is no duration; write one such as 90m or 1h30m, {_between(bounds)}") from None
        if not least <= value <= most:
            raise ValueError(f"{text} is out of bounds; give a duration {_between(bounds)}")
        return timedelta(seconds=value)

    return reader


def _renewal(text: str) -> float:
    try:
        part = float(text)
    except ValueError:
        part = -1.0
    if _RENEWAL[0] <= part <= _RENEWAL[1]:
        return part
    raise ValueError(f"{text!r} is no part of a token's life; write a number from {_RENEWAL[0]} to {_RENEWAL[1]}")


def _between(bounds: tuple[str, str]) -> str:
    return f"from {bounds[0]} to {bounds[1]}"


_READERS: Mapping[str, Callable[[str], object]] = {
    "issuer": _issuer,
    "trust_domain": _trust_domain,
    "token_life": _duration(_TOKEN_LIFE),
    "token_renewal": _renewal,
    "key_interval": _duration(_KEY_TIME),
    "key_overlap": _duration(_KEY_TIME),
}
