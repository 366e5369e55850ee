"""The signing keys as people are shown them. Nothing here can hold a private half."""

from datetime import datetime

import msgspec

from .keys import Key, KeySet, Phase


class Moment(msgspec.Struct, frozen=True):
    phase: str
    at: datetime


class Shown(msgspec.Struct, frozen=True):
    kid: str
    phase: str
    history: tuple[Moment, ...]

    @property
    def since(self) -> datetime:
        """When it entered its phase."""
        return self.history[-1].at


class Listing(msgspec.Struct, frozen=True):
    """`signing` and `next` are kids, "" for none; `rotate` tells that the next one is to sign as soon as it can."""

    keys: tuple[Shown, ...]
    signing: str
    next: str
    rotate: bool

    def key(self, kid: str) -> Shown:
        return next(key for key in self.keys if key.kid == kid)

    def like(self, prefix: str) -> tuple[Shown, ...]:
        """Those whose kid begins so."""
        return tuple(key for key in self.keys if key.kid.startswith(prefix))


def listing(keys: KeySet) -> Listing:
    heirs = (*keys.at(Phase.PUBLISHED), *keys.at(Phase.PENDING))
    return Listing(
        keys=tuple(map(_shown, keys.keys)),
        signing=keys.signing.kid if keys.signing else "",
        next=heirs[0].kid if heirs else "",
        rotate=keys.rotate,
    )


def _shown(key: Key) -> Shown:
    history = tuple(Moment(_word(one.phase), one.at) for one in key.history)
    return Shown(key.kid, _word(key.phase), history)


def _word(phase: Phase) -> str:
    return phase.name.capitalize()
