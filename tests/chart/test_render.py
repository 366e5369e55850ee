"""What the chart renders, for the values in golden/ and for some that are asked about one thing."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgerun import __version__
from edgerun.api.admission import admit
from edgerun.api.schema import kinds
from edgerun.cli import _parser, logs
from edgerun.cli.controller import settings, with_environment
from edgerun.translate.labels import ANY_EDGE, OPERATOR, origin_labels
from support.chart import (
    CHART,
    CRD,
    NAMESPACE,
    RELEASE,
    Object,
    find,
    helm,
    objects,
    pods,
    refusal,
    render,
    rendered,
)

GOLDEN = Path(__file__).with_name("golden")
CASES = sorted(path.name.removesuffix(".values.yaml") for path in GOLDEN.glob("*.values.yaml"))
ROOT = CHART.parents[1]
NAMESPACE_NAME = "kubernetes.io/metadata.name"  # a label that every namespace has
CRDS = sorted((ROOT / "crds").glob("*.yaml"))

# What Helm 3.0 has of what the templates use. `make chart` and Helm 4 would not notice a function that is newer.
HELM3 = """
if else end range with define include and or not eq gt first append has dict set default deepCopy fail fromYaml int join
merge mergeOverwrite nindent omit printf quote replace required toJson toYaml
"""


def values_of(case: str) -> Any:
    return yaml.safe_load((GOLDEN / f"{case}.values.yaml").read_text())


def shortened(text: str) -> str:
    """Without what is a file of the chart as it is: CRDs, the dashboard, the program of `helm test`."""
    documents = re.split(r"\n+---\n", text)  # Helm 3 and 4 do not agree on blank lines
    documents = [one.partition("\n")[0] if f"\nkind: {CRD}\n" in one else one for one in documents]
    return "\n---\n".join(re.sub(r": \|\n(    .*|\n)+$", ": |\n    ...\n", one) for one in documents)


@pytest.mark.parametrize("case", CASES)
def test_what_is_rendered_is_what_the_golden_file_says(case: str, update_golden: bool) -> None:
    text = shortened(render(values_of(case)))
    path = GOLDEN / f"{case}.out.yaml"
    if update_golden:
        path.write_text(text)
    assert text == path.read_text(), f"{path.name} differs; pytest --update-golden, then review the diff"


@pytest.mark.parametrize("case", CASES)
def test_the_same_values_give_the_same_text(case: str) -> None:
    assert render(values_of(case)) == render(values_of(case))


@pytest.mark.parametrize("case", ["default", "minimal", "namespaced"])
def test_the_strict_linter_finds_nothing(case: str) -> None:
    done = helm("lint", "--strict", CHART, "--values", GOLDEN / f"{case}.values.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


def test_the_name_of_the_release_is_in_no_name() -> None:
    def names(release: str) -> list[tuple[str, str]]:
        return [(one["kind"], one["metadata"]["name"]) for one in objects(render(release=release))]

    assert names("some") == names("other")


def test_every_object_says_where_it_lives() -> None:
    everywhere = {CRD, "ClusterRole", "ClusterRoleBinding"}
    for one in objects(render(values_of("everything"))):
        assert ("namespace" in one["metadata"]) == (one["kind"] not in everywhere), one["metadata"]["name"]


def test_the_labels_that_objects_are_found_by_cannot_be_replaced() -> None:
    for one in objects(render(values_of("everything"))):
        labels = one["metadata"]["labels"]
        assert labels["app.kubernetes.io/name"] == "edgerun"
        assert labels["app.kubernetes.io/managed-by"] == "Helm", "what edgerun manages, the operator prunes"
        assert labels["team"] == "edge"


@pytest.mark.parametrize("case", CASES)
def test_every_selector_finds_the_pods_of_the_operator_and_no_others(case: str) -> None:
    found = rendered(values_of(case))
    deployment = next(one for one in found if one["kind"] == "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    selectors = [deployment["spec"]["selector"]["matchLabels"]]
    selectors += [one["spec"]["selector"] for one in found if one["kind"] == "Service" and "selector" in one["spec"]]
    selectors += [one["spec"]["selector"]["matchLabels"] for one in found if one["kind"] == "PodDisruptionBudget"]
    test = next(one for one in found if one["kind"] == "Pod")["metadata"]["labels"]
    for selector in selectors:
        assert selector.items() <= labels.items()
        assert not selector.items() <= test.items()


def test_an_old_kubernetes_is_refused() -> None:
    assert "requires kubeVersion: >=1.30.0-0" in refusal({}, "--kube-version", "1.29.9")


@pytest.mark.parametrize("version", ["1.30.0", "1.31.4-gke.100", "1.35.0-alpha.1"])
def test_a_newer_kubernetes_is_taken(version: str) -> None:
    render({}, "--kube-version", version)


def test_monitoring_where_nothing_would_scrape_is_refused() -> None:
    said = refusal({"monitoring": {"enabled": True}})
    assert "the cluster has no monitoring.coreos.com/v1; install the Prometheus Operator first" in said


@pytest.mark.parametrize(
    ("namespaces", "wanted"),
    [
        ([], {}),
        (["shop"], {"matchExpressions": [{"key": NAMESPACE_NAME, "operator": "In", "values": ["shop"]}]}),
    ],
    ids=["all", "one"],
)
def test_guards_reach_the_operator_from_wherever_origins_are(namespaces: list[str], wanted: Object) -> None:
    found = rendered({"networkPolicy": {"enabled": True}, "watchNamespaces": namespaces})
    xds = find(found, "NetworkPolicy")["spec"]["ingress"][0]
    assert xds["ports"] == [{"port": "xds", "protocol": "TCP"}]
    edge, guards = xds["from"]
    assert "namespaceSelector" not in edge, "in the operator's own namespace alone"
    assert edge["podSelector"]["matchLabels"] == dict(ANY_EDGE)
    assert guards["namespaceSelector"] == wanted
    assert guards["podSelector"]["matchLabels"].items() <= origin_labels("cart").items()


def test_a_service_account_that_exists_must_be_named() -> None:
    said = refusal({"serviceAccount": {"create": False}})
    assert "serviceAccount.name must be the name of a ServiceAccount that exists" in said


def test_the_definitions_are_those_of_the_project() -> None:
    wanted = [yaml.safe_load(path.read_text()) for path in CRDS]
    found = [one for one in objects(render()) if one["kind"] == CRD]
    assert len(found) == len(wanted)
    for one, want in zip(found, wanted, strict=True):
        assert one["metadata"].pop("annotations") == {"helm.sh/resource-policy": "keep"}
        assert one["metadata"].pop("labels")["app.kubernetes.io/managed-by"] == "Helm"
        assert one == want


def test_the_definitions_may_go_with_the_release_or_not_come_at_all() -> None:
    found = [one for one in objects(render({"crds": {"keep": False}})) if one["kind"] == CRD]
    assert len(found) == len(CRDS)
    assert not any("annotations" in one["metadata"] for one in found)
    assert not [one for one in objects(render({"crds": {"enabled": False}})) if one["kind"] == CRD]


@pytest.mark.parametrize("case", CASES)
def test_every_pod_is_what_pod_security_calls_restricted(case: str) -> None:
    found = dict(pods(rendered(values_of(case))))
    assert len(found) == 2
    for name, spec in found.items():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not {"hostNetwork", "hostPID", "hostIPC", "hostUsers"} & spec.keys(), name
        assert all({"emptyDir", "configMap"} & volume.keys() for volume in spec["volumes"]), name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["capabilities"] == {"drop": ["ALL"]}
            assert context["readOnlyRootFilesystem"] is True
            assert not any("hostPort" in port for port in container.get("ports", ()))


def test_a_single_replica_has_no_budget_that_would_block_its_node() -> None:
    assert not [one for one in rendered({"replicas": 1}) if one["kind"] == "PodDisruptionBudget"]
    assert find(rendered({"replicas": 2}), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1


def test_the_fleet_of_the_chart_reaches_the_operator_as_it_was_written() -> None:
    fleet = {"serviceAnnotations": {"example.com/a": "$(POD_IP) $$ \"quoted\" <b> & 'c'"}, "replicas": 3}
    argument = argument_of(rendered({"defaultEdgeProxy": fleet}), "default-edge-proxy")
    assert json.loads(expanded(argument)) == fleet


def expanded(argument: str) -> str:
    """As Kubernetes does it: $$ is $, and $(NAME) is a variable."""
    found = re.sub(r"\$\$|\$\(\w+\)", lambda match: "$" if match[0] == "$$" else "a variable", argument)
    assert "a variable" not in found
    return found


def argument_of(found: list[Object], name: str) -> str:
    arguments: list[str] = find(found, "Deployment")["spec"]["template"]["spec"]["containers"][0]["args"]
    return next(value for flag, _, value in (one.partition("=") for one in arguments) if flag == f"--{name}")


@pytest.mark.parametrize("case", CASES)
def test_the_operators_pods_have_the_labels_by_which_origins_let_them_in(case: str) -> None:
    deployment = next(one for one in rendered(values_of(case)) if one["kind"] == "Deployment")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert OPERATOR.items() <= labels.items()


@pytest.mark.parametrize("case", CASES)
def test_the_operator_takes_the_arguments_that_it_is_given(case: str) -> None:
    values = values_of(case)
    deployment = next(one for one in rendered(values) if one["kind"] == "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    flags = vars(_parser().parse_args([expanded(one) for one in container["args"]]))
    pod = {"POD_NAME": "pod", "POD_NAMESPACE": NAMESPACE, "POD_IP": "10.0.0.1"}
    assert {variable["name"] for variable in container["env"]} >= pod.keys()
    found = settings(with_environment(flags, pod))
    assert (found.name, found.image) == (deployment["metadata"]["name"], container["image"])
    assert found.image_pull_secrets == tuple(one["name"] for one in values.get("imagePullSecrets", ()))
    assert found.watch_namespaces == tuple(values.get("watchNamespaces", ()))
    assert found.default_edge_proxy == values.get("defaultEdgeProxy", {})
    assert {port["containerPort"] for port in container["ports"]} == {found.xds_port, found.http_port}


def test_the_log_can_be_what_the_operator_knows() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]["log"]["properties"]
    assert set(schema["format"]["enum"]) == set(logs.FORMATS)
    assert set(schema["level"]["enum"]) == set(logs.LEVELS)


def test_an_image_with_a_digest_is_named_by_it() -> None:
    digest = "sha256:" + "0" * 64
    found = rendered({"image": {"repository": "r.example/edgerun", "digest": digest}})
    assert argument_of(found, "image") == f"r.example/edgerun:{__version__}@{digest}"
    for _, spec in pods(found):
        assert spec["containers"][0]["image"] == f"r.example/edgerun:{__version__}@{digest}"


def test_the_notes_are_short_and_name_what_is_there() -> None:
    done = helm("install", RELEASE, CHART, "--namespace", NAMESPACE, "--dry-run=client", values={})
    assert done.returncode == 0, done.stderr
    notes = done.stdout.partition("NOTES:\n")[2].strip()
    assert len(notes.splitlines()) <= 10
    assert f"Deployment {NAMESPACE}/edgerun" in notes
    route = re.search(r"echo '(.*?)' \|", notes, re.DOTALL)
    assert route
    assert_admitted(json.loads(route[1]), namespace="default")


def test_the_chart_is_of_the_version_of_the_operator() -> None:
    about = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert about["version"] == about["appVersion"] == __version__


def test_what_the_hub_shows_of_the_kinds_is_true() -> None:
    hub = yaml.safe_load((CHART / "Chart.yaml").read_text())["annotations"]
    wanted = {}
    for path in CRDS:
        definition = yaml.safe_load(path.read_text())
        spec = definition["spec"]
        wanted[definition["metadata"]["name"]] = (spec["names"]["kind"], spec["versions"][0]["name"])
    shown = yaml.safe_load(hub["artifacthub.io/crds"])
    assert {one["name"]: (one["kind"], one["version"]) for one in shown} == wanted
    examples = yaml.safe_load(hub["artifacthub.io/crdsExamples"])
    assert {one["kind"] for one in examples} == kinds().keys(), "what users write"
    for example in examples:
        assert_admitted(example)


def assert_admitted(raw: Any, **metadata: str) -> None:
    admission = admit({**raw, "metadata": {**metadata, **raw["metadata"]}})
    assert not admission.problems


def test_templates_use_no_function_that_helm_3_lacks() -> None:
    for path in (CHART / "templates").rglob("*.*"):
        actions = re.findall(r"\{\{-?(.*?)-?\}\}", path.read_text(), re.DOTALL)
        code = " ".join(re.sub(r'/\*.*?\*/|"(\\.|[^"])*"', "", action, flags=re.DOTALL) for action in actions)
        words = set(re.findall(r"(?<![\w.$])[a-z]\w*", code))
        assert words <= set(HELM3.split()), path.name


def test_every_golden_file_has_its_values() -> None:
    assert {path.name.removesuffix(".out.yaml") for path in GOLDEN.glob("*.out.yaml")} == set(CASES)
