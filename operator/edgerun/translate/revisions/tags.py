"""How a tag is reached: by a host name of its own, and by a header. Data for whoever builds the routes.

`green` of a route for `shop.example.com` answers on `green-shop.example.com`: one label, so that a wildcard certificate
and a wildcard in the DNS cover it. A wildcard host has none, for every label before its own is covered already.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .memory import Tagged

HEADER = "knative-serving-tag"
_MAX_LABEL = 63
_MAX_HOSTNAME = 253


@dataclass(frozen=True, slots=True, order=True)
class TagMatch:
    """Requests for `hostname`, or with the header that names `tag`, are for this revision alone."""

    tag: str
    revision_name: str
    hostnames: tuple[str, ...]
    header: tuple[str, str]


def tag_matches(tags: Sequence[Tagged], hostnames: Sequence[str]) -> tuple[TagMatch, ...]:
    """`hostnames` are those that lead to the whole service, of a route or as `status.url` has them."""
    return tuple(
        TagMatch(one.tag, one.revision_name, tuple(_hostnames(one.tag, hostnames)), (HEADER, one.tag))
        for one in sorted(tags, key=lambda one: one.tag)
    )


def tag_hostname(tag: str, hostname: str) -> str | None:
    """None where there can be none."""
    made = f"{tag}-{hostname}"
    fits = len(made) <= _MAX_HOSTNAME and len(made.partition(".")[0]) <= _MAX_LABEL
    return made if fits and not hostname.startswith("*") else None


def _hostnames(tag: str, hostnames: Sequence[str]) -> Iterator[str]:
    return (made for name in hostnames if (made := tag_hostname(tag, name)))
