"""What a token proves, as values: whoever reviews tokens and whoever asks for it need not know each other."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why nothing is proven. Few and fixed, so that they can be counted."""

    MISSING = "missing"
    MALFORMED = "malformed"
    REJECTED = "rejected"  # expired, forged, or of an account or pod that is no more
    AUDIENCE = "audience"
    IDENTITY = "identity"  # of somebody who has no business here
    UNAVAILABLE = "unavailable"  # nobody could be asked: the same token may do later


@dataclass(frozen=True, slots=True)
class Unproven:
    """`message` is for the log, and never holds the token."""

    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the token is for. `pod` is the name of the only pod that was given it, "" when it is bound to none."""

    username: str
    pod: str = ""


Review = Callable[[str], Awaitable[Account | Unproven]]
