"""The tables of metrics and alerts, held against what there is."""

import re
from pathlib import Path

import yaml

from edgerun.families import FAMILIES

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "operations.md").read_text()


def rows(heading: str) -> list[list[str]]:
    """The cells of the first table below a heading."""
    section = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    table = re.search(r"\|---.*\n((?:\|.*\n)+)", section)
    assert table, f"no table below {heading}"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table[1].splitlines()]


def test_the_table_of_metrics_is_that_of_the_code() -> None:
    said = [
        (name.strip("`"), type, tuple(re.findall(r"`(\w+)`", labels)), help)
        for name, type, labels, help in rows("Metrics")
    ]
    assert said == [tuple(family) for family in FAMILIES]


def test_every_alert_of_the_chart_is_told_and_no_other() -> None:
    groups = yaml.safe_load((ROOT / "charts" / "edgerun" / "files" / "alerts.yaml").read_text())["groups"]
    alerts = [rule["alert"] for group in groups for rule in group["rules"]]
    assert [name for cells in rows("Alerts") for name in re.findall(r"`(Edgerun\w+)`", cells[0])] == alerts
