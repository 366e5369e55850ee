"""What `edgerun keys` says: tables and sentences about keys, their phases and what comes next."""

from datetime import UTC, datetime, timedelta

import msgspec

from ..credentials.issuer import MAX_AGE
from ..credentials.keyring import POLICY
from ..credentials.listing import Listing, Shown
from ..errors import SettingsError
from .keychain import Operator
from .tables import age, table

HEADER = ("KID", "PHASE", "SINCE", "AGE")
NEVER_YET = "no key signs; an operator that runs sees to that within half a minute"
NOBODY = "! the operator does not run: nothing of this happens before it does"
_EFFECTS = {
    "Pending": "It has signed nothing. Another one takes its place.",
    "Published": "It has signed nothing. Another one takes its place.",
    "Retiring": "It signs no more. Whoever shows an old token of it is refused; the edge has others.",
    "Retired": "It is over: nobody trusts it, and no token of it is good any more.",
}


def overview(found: Listing, operator: Operator | None) -> str:
    """A table, and below it what comes next."""
    now = datetime.now(UTC)
    rows = [(key.kid, key.phase, instant(key.since), age(key.since.isoformat(), now)) for key in found.keys]
    return "\n".join([table(HEADER, rows), "", *_outlook(found, operator, now)])


def as_json(found: Listing, operator: Operator | None) -> str:
    document = msgspec.to_builtins(found) | {"due": None}
    if due := _due(found, operator):
        document["due"] = instant(due)
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def rotating(found: Listing, operator: Operator | None) -> str:
    lines = [f"{found.signing} signs until {found.next} does: as soon as every guard knows that one{_and(operator)}"]
    return "\n".join([*lines, *_missing(operator)])


def _and(operator: Operator | None) -> str:
    if operator and not operator.public:
        return ". No request is lost."
    return f", and\nverifiers outside have had {_minutes(POLICY.propagation)} to read it. No request is lost."


def revoking(found: Listing, key: Shown) -> str:
    """What is about to happen."""
    if key.kid != found.signing:
        return f"{key.kid} is {key.phase}. {_EFFECTS[key.phase]}"
    if found.next and found.key(found.next).phase == "Published":
        heir = f"{found.next} signs from then on. Every guard that is well knows it already, so no request is lost."
    else:
        heir = "No other key is known to guards yet: some requests may be refused for a moment."
    return f"{key.kid} signs now. Every guard refuses its tokens within a second. {heir}"


def revoked(found: Listing, kid: str, operator: Operator | None) -> str:
    lines = [f"{kid} is revoked; {found.signing} signs"]
    if operator is None or operator.public:
        lines += [f"verifiers outside, which poll the issuer, may trust it for {_minutes(MAX_AGE)} more"]
    return "\n".join([*lines, *_missing(operator)])


def meant(found: Listing, prefix: str) -> Shown:
    """Raises SettingsError when it is none of them, or more than one."""
    alike = found.like(prefix) if prefix else ()
    if len(alike) == 1:
        return alike[0]
    if alike:
        raise SettingsError(f"{prefix!r} is the beginning of {len(alike)} keys; give more of it:{_named(alike)}")
    raise SettingsError(f"there is no key {prefix!r}; there are:{_named(found.keys)}")


def instant(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _outlook(found: Listing, operator: Operator | None, now: datetime) -> list[str]:
    if not found.signing:
        return [NEVER_YET]
    return [f"{found.signing} signs", *_next(found, operator, now), *_missing(operator)]


def _next(found: Listing, operator: Operator | None, now: datetime) -> list[str]:
    if not found.next:
        return []
    due = _due(found, operator)
    if found.rotate:
        return [f"{found.next} is next, and was asked for: as soon as every guard knows it"]
    if due is None:
        return [f"{found.next} is next, when the operator's key interval is over"]
    if due <= now:
        return [f"{found.next} is next, due since {instant(due)}: as soon as every guard knows it"]
    return [f"{found.next} is next, due {instant(due)}, in {age(now.isoformat(), due)}"]


def _due(found: Listing, operator: Operator | None) -> datetime | None:
    """When the next key is to sign, if that can be known."""
    return found.key(found.signing).since + operator.interval if found.signing and operator else None


def _missing(operator: Operator | None) -> list[str]:
    return [NOBODY] if operator and not operator.runs else []


def _named(keys: tuple[Shown, ...]) -> str:
    return "".join(f"\n  {key.kid}  {key.phase}" for key in keys) or " none"


def _minutes(duration: timedelta) -> str:
    return f"{duration / timedelta(minutes=1):g}m"
