"""The table of bad objects, as this control plane judges them."""

import pytest
import yaml

from edgerun.api.admission import admit
from edgerun.api.unsupported import unsupported
from support.invalid import Case, cases, says


def problems(case: Case) -> list[str]:
    (raw,) = yaml.load_all(case.path.read_text("utf-8"), Loader=yaml.CSafeLoader)
    admission = admit(raw)
    found = admission.problems or (unsupported(admission.object) if admission.object else ())
    return [str(problem) for problem in found]


@pytest.mark.parametrize("case", cases(), ids=str)
def test_a_bad_object_gets_the_messages_that_it_wants_and_no_others(case: Case) -> None:
    found = problems(case)
    assert case.wanted
    for wanted in case.wanted:
        assert any(says(message, wanted) for message in found), found
    assert len(found) == len(case.wanted), found


def test_there_are_many_bad_objects() -> None:
    assert len(cases()) >= 100


def test_an_api_server_would_say_most_of_it() -> None:
    assert sum(not case.only_in_files for case in cases()) >= 100
