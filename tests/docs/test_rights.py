"""The tables of rights in security.md, held against what the chart grants."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "security.md").read_text()
RULES = (ROOT / "charts" / "edgerun" / "templates" / "_rules.tpl").read_text()
VERBS = {"create", "delete", "get", "list", "patch", "update", "watch"}


def granted() -> set[tuple[str, str]]:
    """Resource and verb of every rule of the chart."""
    rule = re.compile(r"resources: \[(.*)\]\n(?: +resourceNames: .*\n)? +verbs: \[(.*)\]")
    return {
        (resource, verb)
        for resources, verbs in rule.findall(RULES)
        for resource in resources.split(", ")
        for verb in verbs.split(", ")
    }


def told() -> set[tuple[str, str]]:
    section = PAGE.partition("## What the operator may do")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line.startswith("| ")]
    return {
        (resource, verb)
        for resources, verbs, _ in rows
        for resource in re.sub(r" \(.*\)", "", resources).split(", ")
        for verb in VERBS & set(re.findall(r"[a-z]+", verbs))
    }


def test_every_right_that_the_chart_grants_is_told_and_no_other() -> None:
    assert granted()
    assert told() == granted()
