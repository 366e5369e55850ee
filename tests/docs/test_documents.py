"""What the documents say, held against the product: objects, commands, links, reasons, the reference.

Nothing here starts Envoy. That the README's commands print what it shows is for test_readme.
"""

import ast
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import yaml

from edgerun.api.admission import admit
from edgerun.api.conditions import ConditionType
from edgerun.api.unsupported import unsupported
from edgerun.cli import _parser
from edgerun.cli.tour import Expectation, Stop, Tour
from edgerun.settings import DEFAULT_PORT
from edgerun.translate.listeners import ACCESS_LOG_FIELDS
from edgerun.translate.phases import OriginPhase
from support.markdown import Block, blocks, prose, steps

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PACKAGE = ROOT / "operator" / "edgerun"

# Where reasons are written down; every literal there that looks like one is one, but for these.
SPEAKERS = (
    "translate/fleets.py",
    "translate/observed.py",
    "translate/origin_verdicts.py",
    "translate/references.py",
    "translate/revisions/judgement.py",
    "translate/revisions/traffic.py",
    "translate/troubles.py",
    "translate/verdicts.py",
    "translate/statuses.py",
    "sources/entries.py",
    "api/conditions.py",
    "api/problems.py",
    "runtime/observing.py",
    "infra/local/clusteronly.py",
    "infra/local/launch.py",
    "infra/local/probes.py",
    "infra/local/processes.py",
    "infra/local/replicas.py",
)
REASON = re.compile(r"[A-Z][a-z]+([A-Z][a-z]+)*")
OF_PODS = {
    "ContainerCreating",
    "ErrImagePull",
    "Failed",
    "PodInitializing",
    "PodReadyToStartContainers",
    "PodScheduled",
    "Succeeded",
}
OF_ENDS = {"Completed", "ContainerCannotRun", "Error", "StartError"}
NO_REASONS = (
    {"True", "False", "Unknown", "Replica", "ReplicaFailure", ConditionType.CONTAINER_HEALTHY.value}
    | {"ConfigMap", "Secret"}
    | OF_PODS
    | OF_ENDS
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def fenced(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page) if block.language in languages]


def yaml_documents() -> Iterator[tuple[str, object]]:
    for block in fenced("yaml"):
        for number, document in enumerate(yaml.safe_load_all(block.text)):
            yield f"{block.where}.{number}", document


def commands() -> Iterator[tuple[str, str]]:
    """Every `edgerun ...` that stands in a console block or, as code, in a sentence."""
    for block in fenced("console"):
        yield from ((step.where, step.command) for step in steps(block) if step.command.startswith("edgerun "))
    for page in PAGES:
        for found in re.findall(r"`((?:\.venv/bin/)?edgerun [^`]+)`", prose(page)):
            yield named(page), found.removeprefix(".venv/bin/")


def wrong_with(command: str) -> str:
    """Why a command or a flag of it does not exist; placeholders such as DIR and [DIR] stand for themselves."""
    words = shlex.split(re.split(r"[<>|;]", command)[0].replace("[", "").replace("]", "").replace("…", ""))[1:]
    flags = [word for word in words if word.startswith("-")]
    parsers = [_parser()]
    for name in (word for word in words if not word.startswith("-")):
        subcommands = [action.choices for action in parsers[-1]._actions if isinstance(action.choices, dict)]
        if not subcommands:
            break
        if name not in subcommands[0]:
            return f"no command {name}"
        parsers.append(subcommands[0][name])
    known = {option for parser in parsers for option in parser._option_string_actions}
    return " ".join(f"no flag {flag}" for flag in flags if flag.partition("=")[0] not in known)


@pytest.mark.parametrize(("where", "document"), list(yaml_documents()))
def test_every_object_that_is_shown_is_admitted(where: str, document: object) -> None:
    assert isinstance(document, dict), where
    if "requests" in document:
        msgspec.convert(document, Tour)
        return
    admission = admit(document)
    assert not admission.problems
    assert admission.object
    assert not unsupported(admission.object)


def test_objects_are_shown() -> None:
    kinds = [document.get("kind") for _, document in yaml_documents() if isinstance(document, dict)]
    assert min(kinds.count("EdgeRoute"), kinds.count("OriginService")) >= 2


@pytest.mark.parametrize(("where", "command"), sorted(set(commands())))
def test_every_command_and_flag_that_is_named_exists(where: str, command: str) -> None:
    assert not wrong_with(command), where


def test_a_command_or_flag_that_does_not_exist_is_noticed() -> None:
    assert wrong_with("edgerun serve DIR") == "no command serve"
    assert wrong_with("edgerun local DIR --prot 1") == "no flag --prot"
    assert wrong_with("edgerun status -o yaml --wide") == "no flag --wide"


def test_every_make_target_that_is_named_exists() -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named_ones = {word for page in PAGES for word in re.findall(r"`make ([a-z0-9-]+)", page.read_text())}
    assert named_ones
    assert named_ones <= targets


def headings(path: Path) -> set[str]:
    """The anchors that a site makes of the headings of a page."""
    titles = re.findall(r"^#+ (.*)$", prose(path), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    sentences = re.sub(r"(`+).*?\1", "", prose(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", sentences):
        path, _, anchor = target.partition("#")
        assert not target.startswith(("http:", "/")), target
        if target.startswith("https:"):
            continue
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), target
        assert not anchor or anchor in headings(there), target


def reasons_in_code() -> set[str]:
    found = set()
    for name in SPEAKERS:
        for node in ast.walk(ast.parse((PACKAGE / name).read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and REASON.fullmatch(node.value):
                found.add(node.value)
    return (found | {OriginPhase.STARTING.value}) - NO_REASONS


def reasons_in_documents() -> set[str]:
    """The first cells of the tables in conditions.md."""
    return set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs" / "conditions.md").read_text(), re.MULTILINE))


def test_every_reason_and_type_in_the_code_is_documented_and_no_other() -> None:
    assert reasons_in_documents() == reasons_in_code()


def test_every_condition_type_has_a_section() -> None:
    titles = headings(ROOT / "docs" / "conditions.md")
    assert {type.value.lower() for type in ConditionType} <= titles


def test_every_field_of_the_access_log_is_documented() -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) >= ACCESS_LOG_FIELDS.keys()


def test_every_field_of_a_tour_is_documented() -> None:
    text = (ROOT / "docs" / "standalone.md").read_text()
    for field in (*msgspec.structs.fields(Stop), *msgspec.structs.fields(Expectation)):
        assert f"| `{field.name}` |" in text


def test_the_default_port_is_the_one_that_is_shown() -> None:
    assert f"http://localhost:{DEFAULT_PORT}" in (ROOT / "README.md").read_text()


def test_the_reference_is_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "tools" / "reference.py", tmp_path], check=True)
    written = {path.name: path.read_text() for path in tmp_path.iterdir()}
    there = {path.name: path.read_text() for path in (ROOT / "docs" / "reference").iterdir()}
    del there["chart.md"]  # of `make chart`, and tests/chart compares it
    assert there == written, "run: make reference"


def test_the_versions_that_are_told_are_those_that_the_tests_run_on() -> None:
    requirements = (ROOT / "README.md").read_text().partition("## Requirements")[2].partition("\n## ")[0]
    for folder, module in (("kubernetes", "k8s.io/kubernetes"), ("helm", "helm.sh/helm/v4")):
        text = (ROOT / "tools" / "cluster" / "go" / folder / "go.mod").read_text()
        version = re.search(rf"{module} v(\S+)", text)
        assert version
        assert version[1] in requirements
    least = re.search(r"kubeVersion: .>=(\d+\.\d+)", (ROOT / "charts" / "edgerun" / "Chart.yaml").read_text())
    assert least
    assert f"Kubernetes {least[1]} or newer" in requirements


def test_lines_of_prose_are_not_too_long() -> None:
    for page in PAGES:
        if page.parent.name == "reference" or page.name in ("CONTRIBUTING.md", "benchmarks.md"):
            continue
        long = [line for line in prose(page).splitlines() if len(line) > 120 and not line.startswith("|")]
        assert not long, named(page)
