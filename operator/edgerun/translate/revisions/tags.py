"""How a tag is reached: by a host name of its own, and by a header.

`green` of a route for `shop.example.com` answers on `green-shop.example.com`: one label, so that a wildcard certificate
and a wildcard in the DNS cover it. A wildcard host has none, for every label before its own is covered already.
"""

HEADER = "knative-serving-tag"
_MAX_LABEL = 63
_MAX_HOSTNAME = 253


def tag_hostname(tag: str, hostname: str) -> str | None:
    """None where there can be none."""
    made = f"{tag}-{hostname}"
    fits = len(made) <= _MAX_HOSTNAME and len(made.partition(".")[0]) <= _MAX_LABEL
    return made if fits and not hostname.startswith("*") else None
