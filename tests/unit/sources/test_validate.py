"""The report of `edgerun validate`: everything that is wrong, with the line to mend."""

from pathlib import Path

import pytest

from edgerun.sources.validate import Severity, report
from support.invalid import FOLDER as INVALID
from support.invalid import Case, cases, says

ROUTE = """\
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: web, namespace: shop}
spec:
  hostnames: [Shop.example.com]
  rules:
  - matches:
    - path: {type: RegularExpresion, value: "/a("}
    orgins:
    - service: {name: cart}
"""
GOOD_ROUTE = """\
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: %s, namespace: %s}
spec:
  rules:
  - origins:
    - service: {name: %s}
"""
SERVICE = """\
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {name: %s, namespace: %s}
spec: {template: {spec: {containers: [{image: a}]}}}
"""


def said(folder: Path, *paths: Path) -> list[str]:
    return [str(problem).replace(f"{folder}/", "") for problem in report(paths or (folder,))]


def test_all_problems_of_a_document_are_located(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("# a comment\n" + ROUTE)
    found = said(tmp_path)
    assert [line.split(" in body should")[0] for line in found] == [
        'a.yaml:6: EdgeRoute shop/web: spec.hostnames[0]: Invalid value: "Shop.example.com": spec.hostnames[0]',
        'a.yaml:9: EdgeRoute shop/web: spec.rules[0].matches[0].path.type: Unsupported value: "RegularExpresion": '
        'supported values: "Exact", "PathPrefix", "RegularExpression"',
        'a.yaml:10: EdgeRoute shop/web: unknown field "spec.rules[0].orgins"; did you mean "origins"?',
    ]


@pytest.mark.parametrize("case", cases(), ids=str)
def test_the_table_of_bad_objects_is_reported_with_lines(case: Case) -> None:
    errors = [problem for problem in report([case.path]) if problem.severity is Severity.ERROR]
    assert len(errors) == len(case.wanted)
    for wanted in case.wanted:
        assert any(says(str(problem.problem), wanted) for problem in errors)
    assert all(problem.path == case.path and problem.line > len(case.wanted) for problem in errors)


def test_the_examples_of_a_whole_folder_are_reported_in_order() -> None:
    found = report([INVALID])
    assert list(found) == sorted(found)
    assert len({problem.path for problem in found}) == len(cases())


def test_good_files_have_no_problems(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(GOOD_ROUTE % ("web", "shop", "cart") + "---\n" + SERVICE % ("cart", "shop"))
    assert said(tmp_path) == []


def test_a_second_definition_is_an_error_there(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / f"{name}.yaml").write_text(SERVICE % ("cart", "shop"))
    assert said(tmp_path) == [
        "b.yaml:3: OriginService shop/cart: metadata.name: OriginService shop/cart is already defined at a.yaml:1, "
        "and that one counts; remove one of the two"
    ]


def test_a_file_that_is_given_twice_is_read_once(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(SERVICE % ("cart", "shop"))
    assert said(tmp_path, tmp_path, file, tmp_path / "." / "a.yaml") == []


def test_a_reference_to_nothing_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text(
        "---\n".join((GOOD_ROUTE % ("web", "shop", "crat"), SERVICE % ("cart", "shop"), SERVICE % ("pay", "shop")))
    )
    (found,) = report([file])
    assert found.severity is Severity.WARNING
    assert str(found) == (
        f"{file}:7: EdgeRoute shop/web: warning: spec.rules[0].origins[0].service.name: OriginService "
        '"crat" of namespace shop is in none of the files (OriginServices there: cart, pay); did you mean "cart"?'
    )


@pytest.mark.parametrize(
    ("named", "wanted"),
    [
        ("cart", ['"cart" of namespace shop is in none of the files (there is no OriginService of it)']),
        ("cart, namespace: other", []),
        ("crat, namespace: other", ['"crat" of namespace other is in none of the files (OriginServices there: cart)']),
    ],
)
def test_a_reference_crosses_namespaces_only_where_it_says_so(tmp_path: Path, named: str, wanted: list[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD_ROUTE % ("web", "shop", named) + "---\n" + SERVICE % ("cart", "other"))
    found = said(tmp_path)
    assert len(found) == len(wanted)
    assert all(text in line for text, line in zip(wanted, found, strict=True))


def test_a_reference_to_a_bad_object_is_no_reference_to_nothing(tmp_path: Path) -> None:
    bad = (SERVICE % ("cart", "shop")).replace("image", "imag")
    (tmp_path / "a.yaml").write_text(GOOD_ROUTE % ("web", "shop", "cart") + "---\n" + bad)
    assert {problem.severity for problem in report([tmp_path])} == {Severity.ERROR}


def of_edge(edge: str) -> str:
    spec = f"{{edge: {edge}, rules: [{{respond: {{}}}}]}}"
    return f"apiVersion: edgerun.dev/v1alpha1\nkind: EdgeRoute\nmetadata: {{name: web}}\nspec: {spec}\n---\n"


FLEET = "apiVersion: edgerun.dev/v1alpha1\nkind: EdgeProxy\nmetadata: {name: %s}\nspec: {}\n---\n"


def test_an_edge_that_no_file_has_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(of_edge("bleu") + FLEET % "blue" + FLEET % "green")
    (found,) = report([tmp_path])
    assert found.severity is Severity.WARNING
    assert str(found.problem) == (
        'spec.edge: EdgeProxy "bleu" is in none of the files (EdgeProxies there: blue, green); did you mean "blue"?'
    )
    (tmp_path / "a.yaml").write_text(of_edge("defaults"))
    (found,) = report([tmp_path])
    assert str(found.problem) == (
        'spec.edge: EdgeProxy "defaults" is in none of the files (there is no EdgeProxy); did you mean "default"?'
    )


def test_the_edge_default_and_one_that_a_file_has_are_no_warning(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(of_edge("default"))
    (tmp_path / "b.yaml").write_text(of_edge("blue").replace("name: web", "name: other") + FLEET % "blue")
    assert report([tmp_path]) == ()


def test_what_is_wrong_with_a_file_is_reported_beside_the_rest(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [\n")
    (tmp_path / "b.yaml").write_bytes(b"\xff")
    (tmp_path / "c.yaml").write_text("kind: EdgeRoute\n")
    found = said(tmp_path, tmp_path, tmp_path / "none.yaml")
    assert [line.split(":")[0] for line in found] == ["a.yaml", "b.yaml", "c.yaml", "c.yaml", "c.yaml", "none.yaml"]
    assert found[-1] == "none.yaml: cannot be read: No such file or directory"


def test_the_projects_own_examples_are_good() -> None:
    assert report([Path(__file__).parents[3] / "examples"]) == ()


def test_an_object_of_another_api_is_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "a.yaml"
    file.write_text("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\n")
    (problem,) = report([file])
    assert problem.severity is Severity.WARNING
    assert str(problem) == f"{file}:1: warning: Deployment of apps/v1 is not of edgerun.dev: not looked at"


def test_a_namespace_beside_what_is_in_it_is_no_problem(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: shop}\n")
    assert said(tmp_path) == []
    (tmp_path / "a.yaml").write_text("apiVersion: example.com/v1\nkind: Namespace\nmetadata: {name: shop}\n")
    assert said(tmp_path) == ["a.yaml:1: warning: Namespace of example.com/v1 is not of edgerun.dev: not looked at"]
