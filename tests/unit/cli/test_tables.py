"""Tables that fit where they are shown, and what is said of a command line that cannot be read."""

import pytest

from edgerun.cli import main
from edgerun.cli.tables import fitting, table

HEADER = ("NAME", "URL", "AGE")
ROWS = [("web", "http://web.test:8080", "1s")]


def test_a_table_loses_only_as_many_columns_as_it_has_to() -> None:
    whole = table(HEADER, ROWS)
    width = max(map(len, whole.splitlines()))
    assert fitting(HEADER, ROWS, ("AGE", "URL"), None) == whole
    assert fitting(HEADER, ROWS, ("AGE", "URL"), width) == whole
    assert fitting(HEADER, ROWS, ("AGE", "URL"), width - 1).split() == ["NAME", "URL", "web", "http://web.test:8080"]
    assert fitting(HEADER, ROWS, ("AGE", "URL"), 10).split() == ["NAME", "web"]
    assert fitting(HEADER, ROWS, ("AGE", "URL"), 1).split() == ["NAME", "web"]


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["statsu"], "status"), (["rollout", "promte", "cart"], "promote"), (["status", "-o", "jsn"], "json")],
    ids=["command", "action", "value"],
)
def test_a_mistyped_word_is_told_with_what_was_probably_meant(
    capsys: pytest.CaptureFixture[str], words: list[str], meant: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert (ended.value.code, f"did you mean {meant}?" in capsys.readouterr().err) == (2, True)


def test_a_word_that_is_near_to_nothing_is_told_with_what_there_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["elephant"])
    said = capsys.readouterr().err
    assert ("choose from" in said, "did you mean" in said) == (True, False)
