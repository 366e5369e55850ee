"""A sieve for secrets in texts: tokens and private keys, as they are and within something in base64.

Trap: a sieve that finds nothing may have holes. Whoever uses it shows that it finds what is known to be there.
"""

import base64
import re
from collections.abc import Iterable, Iterator, Mapping

_ENOUGH = 16  # letters that are nowhere by chance

Texts = Mapping[str, str]  # by where each was found


def suspicious(texts: Texts) -> list[str]:
    """Where there is something that looks like a signed token or a private key, whosever it is."""
    return [f"{where}: {found[0][:24]}" for where, text in texts.items() for found in _looks(text)]


def holding(texts: Texts, secrets: Iterable[str]) -> list[str]:
    """Where one of these secrets is, or a part of it that is enough."""
    needles = {needle for secret in secrets for needle in needles_of(secret)}
    return [where for where, text in texts.items() if any(needle in text for needle in needles)]


def needles_of(secret: str) -> Iterator[str]:
    """The lines of a PEM's body, or the signature of a token: as they are, and within something in base64."""
    lines = [line for line in secret.splitlines() if not line.startswith("-----") and len(line) >= _ENOUGH]
    for part in lines if _PRIVATE in secret else [secret.rpartition(".")[2]]:
        yield part
        yield from (_within(part.encode(), before) for before in range(3))


def _within(part: bytes, before: int) -> str:
    """How `part` looks in base64 that begins so many bytes before it; without what depends on its neighbours."""
    first = (0, 2, 3)[before]
    return base64.b64encode(bytes(before) + part).decode().rstrip("=")[first:-1]


_SIGNED = re.compile(r"eyJ[\w-]{16,}\.eyJ[\w-]{16,}")
_PRIVATE = "PRIVATE KEY-----"
_LOOKS = (_SIGNED, *map(re.compile, (_PRIVATE, *(_within(_PRIVATE.encode(), before) for before in range(3)))))


def _looks(text: str) -> Iterator[re.Match[str]]:
    yield from (found for pattern in _LOOKS if (found := pattern.search(text)))
