"""The table of bad objects, as an API server with the project's CRDs judges them.

It looks for unknown fields first and says nothing else before they are mended, so it is asked twice: as everybody asks
it, and with unknown fields ignored. Its words for an unknown field end where our hint begins.
"""

import re
from collections.abc import Mapping
from typing import Any

import pytest
import yaml

from edgerun.api.resources import RESOURCES
from edgerun.errors import InvalidError
from edgerun.infra.kubernetes.client import Client
from support.invalid import Case, cases, says

JUDGED = [case for case in cases() if not case.only_in_files]
# What the server adds of its own: it cannot evaluate rules, or convert, beside a mistake that it has named already.
_ASIDE = ("<nil>: Invalid value", "some validation rules were not checked")
# What follows from a mistake, and is said of a folder's files only once that is mended.
_FOLLOWS = {
    "field-in-other-case": "a rule needs exactly one of",
    "header-changes-a-list": 'unknown field "spec.rules[0].requestHeaders.set[0].',
    "origins-empty": "the weights of all origins are 0",
    "path-empty": 'must start with "/"',
    "traffic-percent-above-all": "traffic targets sum to 101, want 100",
    "weight-negative": "the weights of all origins are 0",
}
_PREFIX = re.compile(r'^POST \S+: (?:\S+ "[^"]*" is invalid: )?(?:.* strict decoding error: )?')
_NEXT = re.compile(r', (?=(?:[a-zA-Z<][\w.\[\]"<>]*: [A-Z]|unknown field "))')


def messages(text: str) -> list[str]:
    """The problems that one answer names."""
    listed = _PREFIX.sub("", text)
    listed = listed.removeprefix("[").removesuffix("]") if listed.startswith("[") else listed
    return _NEXT.split(listed)


async def answer(client: Client, raw: Mapping[str, Any], namespace: str, validation: str) -> list[str]:
    resource = RESOURCES[raw["kind"]]
    where = {"namespace": namespace} if resource.namespaced else {}
    placed = {**raw, "metadata": {**where, **(raw.get("metadata") or {})}}
    path = resource.path(placed["metadata"].get("namespace", ""))
    query = {"fieldValidation": validation, "dryRun": "All"}
    try:
        await client._call("POST", path, query=query, body=placed, timeout_s=10)
    except InvalidError as error:
        return messages(str(error))
    return []


def meant(wanted: str) -> str:
    """The part of a wanted message that is not ours alone."""
    return wanted.partition(";")[0] if wanted.startswith("unknown field") else wanted


@pytest.mark.parametrize("case", JUDGED, ids=str)
async def test_the_server_refuses_a_bad_object_with_the_same_message(
    client: Client, namespace: str, case: Case
) -> None:
    raw = yaml.load(case.path.read_text("utf-8"), Loader=yaml.CSafeLoader)
    strict = await answer(client, raw, namespace, "Strict")
    assert strict, "the server takes it"
    found = strict + [other for other in await answer(client, raw, namespace, "Ignore") if other not in strict]
    for wanted in map(meant, case.wanted):
        assert any(says(message, wanted) for message in found), found
    others = [message for message in found if not any(says(message, wanted) for wanted in map(meant, case.wanted))]
    expected = (*_ASIDE, *filter(None, [_FOLLOWS.get(str(case))]))
    assert not [other for other in others if not any(text in other for text in expected)], others
