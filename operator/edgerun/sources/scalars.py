"""What a plain scalar of YAML means: as kubectl reads it, which is YAML 1.1 with Go's numbers.

So `yes` and `on` are booleans and 010 is 8, while a date, a time of day (1:30) and !!binary stay strings, as they do on
the way to an API server.
"""

import math
import re

_NULL = frozenset(("", "~", "null", "Null", "NULL"))
_TRUE = frozenset(["y", "Y", "yes", "Yes", "YES", "true", "True", "TRUE", "on", "On", "ON"])
_FALSE = frozenset(["n", "N", "no", "No", "NO", "false", "False", "FALSE", "off", "Off", "OFF"])
_NOT_FINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9_]*|0[xX][0-9a-fA-F_]+|0[oO]?[0-7_]+|0[bB][01_]+)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_MAX_DIGITS = 70  # 64 binary ones, a sign and a prefix; Python itself refuses to read 4,300
_INTEGRAL = 2.0**53  # above, a float no longer says which integer it was

_TAG = "tag:yaml.org,2002:"
_TEXT_TAGS = frozenset((f"{_TAG}str", f"{_TAG}binary", f"{_TAG}timestamp", "!"))
_PLAIN_TAGS = frozenset(f"{_TAG}{name}" for name in ("null", "bool", "int", "float"))

Scalar = str | int | float | bool | None


class ScalarError(Exception):
    """The scalar stands for nothing that JSON, and so Kubernetes, has."""


def scalar(text: str, tag: str | None, *, plain: bool) -> Scalar:
    """The value of one scalar. `plain` is one without quotes, which alone can be anything but a string."""
    if tag in _TEXT_TAGS or (tag is None and not plain):
        return text
    if tag is None or tag in _PLAIN_TAGS:
        return _plain(text)
    raise ScalarError(f"the tag {tag.replace(_TAG, '!!')} means nothing here; leave it away")


def _plain(text: str) -> Scalar:
    if text in _NULL:
        return None
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    first = text[0]
    if not (first.isdigit() or first in "-+."):
        return text
    return _number(text)


def _number(text: str) -> str | int | float:
    if _NOT_FINITE.fullmatch(text):
        raise ScalarError(f"{text} is not a number that JSON has; give a finite one, or put it in quotes")
    digits = text.replace("_", "")
    if _INTEGER.fullmatch(text) and len(text) <= _MAX_DIGITS:
        return _integer(digits)
    if not _FLOAT.fullmatch(digits) or math.isinf(float(digits)):
        return text
    value = float(digits)
    return int(value) if value.is_integer() and abs(value) < _INTEGRAL else value


def _integer(digits: str) -> int:
    bare = digits.lstrip("+-")
    octal = len(bare) > 1 and bare[0] == "0" and bare[1].isdigit()
    return int(digits, 8 if octal else 0)
