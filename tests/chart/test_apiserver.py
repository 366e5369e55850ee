"""The chart in a real API server: every object is taken as it is, and everybody may do what they should, and no more.

Trap: nothing runs behind this API server. Nobody aggregates ClusterRoles, so what `edit` would come to have is worked
out here from the server's own selectors; and no Deployment ever makes a pod, only `helm test` is one itself.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import aclosing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgerun import cli
from edgerun.api.meta import ObjectKey
from edgerun.credentials.keyring import POLICY, UNKNOWN, advance
from edgerun.credentials.keys import KeySet, encoded, new_private
from edgerun.credentials.keystore import changed
from edgerun.errors import ForbiddenError
from edgerun.infra.kubernetes.client import access, connected
from edgerun.infra.kubernetes.vault import SecretVault
from support import apiserver
from support.apiserver import ApiServer, edge_route
from support.chart import CRD, NAMESPACE, Object, ask, kubectl, objects, render
from support.rights import Right, of_rules, rights_of

pytestmark = pytest.mark.apiserver

GOLDEN = Path(__file__).with_name("golden")
CASES = sorted(path.name.removesuffix(".values.yaml") for path in GOLDEN.glob("*.values.yaml"))
RESTRICTED = {f"pod-security.kubernetes.io/{mode}": "restricted" for mode in ("enforce", "warn")}
ONE_NAMESPACE = {"watchNamespaces": ["shop"], "fullnameOverride": "narrow"}
REVIEWS = "authorization.k8s.io/v1"
VERBS = ("get", "list", "watch", "create", "update", "patch", "delete", "deletecollection")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApiServer]:
    if reason := apiserver.missing():
        pytest.skip(f"no chart is put into a real API server: {reason}")
    with apiserver.running(tmp_path_factory.mktemp("chart")) as running:
        for name in (NAMESPACE, "shop", "other"):
            labels = RESTRICTED if name == NAMESPACE else {}
            create(running, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        asyncio.run(apiserver.install_crds(running))
        yield running


@pytest.fixture(scope="session")
def installed(server: ApiServer) -> ApiServer:
    """The chart twice: for all namespaces, and, under the name `narrow`, for one."""
    for values in ({}, ONE_NAMESPACE):
        apply(server, without_monitoring(render(values)))
    return server


def create(server: ApiServer, *manifests: Object, user: str = "") -> list[Any]:
    """What the server makes of each."""
    options = ("--as", user, "--validate=ignore") if user else ()  # to validate, kubectl reads what users may not
    done = ask(server, "kubectl", "create", "-f", "-", "-o", "json", *options, stdin=yaml.safe_dump_all(manifests))
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout) if len(manifests) == 1 else {"items": list(stream(done.stdout))}
    return list(answers.get("items", [answers]))


def stream(text: str) -> Iterator[Any]:
    """JSON values one after the other."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text.rstrip()):
        value, end = decoder.raw_decode(text, at)
        yield value
        at = end + len(text[end:]) - len(text[end:].lstrip())


def apply(server: ApiServer, text: str, *options: str) -> None:
    strict = ("apply", "--server-side", "--validate=strict", "--force-conflicts", "-f", "-", *options)
    done = ask(server, "kubectl", *strict, stdin=text)
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr, "what Pod Security says, or that something is deprecated"


def without_monitoring(text: str) -> str:
    """The Prometheus Operator's kinds are not those of any API server."""
    return "\n---\n".join(one for one in text.split("\n---\n") if "\napiVersion: monitoring.coreos.com/" not in one)


@pytest.mark.parametrize("case", CASES)
def test_the_server_takes_every_object_without_a_warning(server: ApiServer, case: str) -> None:
    values = yaml.safe_load((GOLDEN / f"{case}.values.yaml").read_text())
    text = without_monitoring(render({**values, "fullnameOverride": f"case-{case}"}))
    accounts = [one for one in objects(text) if one["kind"] == "ServiceAccount"]
    apply(server, yaml.safe_dump_all(accounts))  # a pod is not taken, not even for a try, before its account is there
    apply(server, text, "--dry-run=server")


def test_an_upgrade_replaces_the_definitions(installed: ApiServer) -> None:
    apply(installed, without_monitoring(render({"commonLabels": {"new": "label"}})))
    for definition in (one for one in objects(render()) if one["kind"] == CRD):
        there = json.loads(kubectl(installed, "get", "crd", definition["metadata"]["name"], "-o", "json"))
        assert there["metadata"]["labels"]["new"] == "label"
        assert there["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep"


def account(name: str) -> str:
    return f"system:serviceaccount:{NAMESPACE}:{name}"


def rules_of(server: ApiServer, user: str, namespace: str) -> set[Right]:
    """All that the server would let `user` do in a namespace."""
    review = {
        "apiVersion": "authorization.k8s.io/v1",
        "kind": "SelfSubjectRulesReview",
        "spec": {"namespace": namespace},
    }
    [answer] = create(server, review, user=user)
    return set(of_rules(namespace, answer["status"]["resourceRules"]))


@pytest.mark.parametrize(("name", "values"), [("edgerun", {}), ("narrow", ONE_NAMESPACE)])
@pytest.mark.parametrize("namespace", [NAMESPACE, "shop", "other"])
def test_the_operator_may_do_what_the_chart_grants_and_nothing_else(
    installed: ApiServer, name: str, values: Object, namespace: str
) -> None:
    granted = rights_of(values, account=name)
    wanted = {right._replace(namespace=namespace) for right in granted if right.namespace in ("", namespace)}
    of_everybody = rules_of(installed, account("somebody"), namespace)
    assert rules_of(installed, account(name), namespace) - of_everybody == wanted


def may(server: ApiServer, user: str, *rights: Right) -> list[bool]:
    """Asked as `user`, one by one."""
    reviews = [
        {
            "apiVersion": REVIEWS,
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": attributes(right)},
        }
        for right in rights
    ]
    return [answer["status"]["allowed"] for answer in create(server, *reviews, user=user)]


def attributes(right: Right) -> dict[str, str]:
    resource, _, subresource = right.resource.partition("/")
    return {**right._asdict(), "resource": resource, "subresource": subresource}


@pytest.mark.parametrize(("name", "values"), [("edgerun", {}), ("narrow", ONE_NAMESPACE)])
def test_every_right_is_there_when_it_is_asked_for(installed: ApiServer, name: str, values: Object) -> None:
    granted = rights_of(values, account=name)
    assert [right for right, yes in zip(granted, may(installed, account(name), *granted), strict=True) if not yes] == []


@pytest.mark.parametrize("name", ["edgerun", "narrow"])
def test_what_would_hurt_most_is_denied(installed: ApiServer, name: str) -> None:
    secrets = [Right(where, "", "secrets", "", verb) for where in (NAMESPACE, "shop", "") for verb in ("list", "watch")]
    secrets += [Right(where, "", "secrets", "edgerun-ca", "get") for where in ("shop", "other")]
    secrets += [Right(NAMESPACE, "", "secrets", "another", verb) for verb in VERBS if verb != "create"]
    reach = ("other", "") if name == "narrow" else ()  # every origin has a ConfigMap, wherever it is
    others = [Right(where, "", "configmaps", "", verb) for where in reach for verb in VERBS]
    pods = [Right(NAMESPACE, "", f"pods{what}", "", "create") for what in ("", "/exec", "/eviction")]
    itself = [Right("", "rbac.authorization.k8s.io", "clusterroles", "", verb) for verb in (*VERBS, "bind", "escalate")]
    tokens = [Right(NAMESPACE, "", "serviceaccounts/token", "", "create"), Right("", "", "users", "", "impersonate")]
    objects = [Right("shop", "edgerun.dev", "edgeroutes", "", verb) for verb in ("create", "update", "patch", "delete")]
    everything = [*secrets, *others, *pods, *itself, *tokens, *objects]
    answers = may(installed, account(name), *everything)
    assert [right for right, yes in zip(everything, answers, strict=True) if yes] == []


@pytest.fixture(scope="session")
def logins(installed: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The kubeconfig of a ServiceAccount of the chart's namespace."""
    url = asyncio.run(access(installed.kubeconfig)).server

    def login(name: str) -> Path:
        token = kubectl(installed, "-n", NAMESPACE, "create", "token", name).strip()
        return apiserver.kubeconfig(tmp_path_factory.mktemp(name) / "kubeconfig", url, token=token)

    return login


async def test_the_operator_writes_its_keys_and_hears_of_it(logins: Callable[[str], Path]) -> None:
    async with connected(logins("edgerun")) as client:
        vault = SecretVault(client, NAMESPACE, "edgerun-keys")
        async with aclosing(client.watch(ObjectKey("Secret", NAMESPACE, "edgerun-keys"), lasts_s=300)) as told:
            await anext(told)
            await changed(vault, lambda keys: advance(keys, datetime.now(UTC), UNKNOWN, POLICY, new_key=new_private))
            await anext(told)
        with pytest.raises(ForbiddenError, match='cannot watch resource "secrets"'):
            await anext(client.watch(ObjectKey("Secret", NAMESPACE, "another"), lasts_s=1))


def test_whoever_is_bound_to_the_role_of_the_keys_may_use_the_command_and_nothing_else(
    installed: ApiServer, logins: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("locksmith", "stranger"):
        kubectl(installed, "-n", NAMESPACE, "create", "serviceaccount", name)
    bound = ("--role", "edgerun-keys", f"--serviceaccount={NAMESPACE}:locksmith")
    kubectl(installed, "-n", NAMESPACE, "create", "rolebinding", "locksmith", *bound)
    first = advance(KeySet(), datetime.now(UTC), UNKNOWN, POLICY, new_key=new_private)
    data = {name: value.decode() for name, value in encoded(first).items()}
    metadata = {"name": "edgerun-keys", "namespace": NAMESPACE}
    apply(installed, yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": data}))

    def said(user: str, *words: str) -> tuple[int, str]:
        where = ("--namespace", NAMESPACE, "--kubeconfig", str(logins(user)))
        code = cli.main(["keys", words[0], *where, *words[1:]])
        return code, "".join(capsys.readouterr())

    assert said("locksmith", "rotate")[0] == 0
    assert said("locksmith", "revoke", first.keys[0].kid, "--yes")[0] == 0
    code, told = said("locksmith", "list")
    assert code == 0
    assert "! the operator does not run" in told, "it may look at the Deployment"
    code, told = said("stranger", "list")
    assert code == 2
    assert "kubectl create rolebinding NAME --namespace edge-system --role=edgerun-keys --user=USER" in told
    asked = [Right(NAMESPACE, "", "secrets", name, verb) for name in ("edgerun-keys", "edgerun-ca") for verb in VERBS]
    asked += [Right(NAMESPACE, "apps", "deployments", "edgerun", verb) for verb in VERBS]
    allowed = [right for right, yes in zip(asked, may(installed, account("locksmith"), *asked), strict=True) if yes]
    assert [(right.name, right.verb) for right in allowed] == [
        ("edgerun-keys", "get"),
        ("edgerun-keys", "update"),
        ("edgerun", "get"),
    ]


def test_one_namespace_means_that_others_are_out_of_reach(installed: ApiServer) -> None:
    for resource in ("edgeroutes", "originservices"):
        rights = [Right(where, "edgerun.dev", resource, "", "list") for where in ("shop", "other", NAMESPACE, "")]
        assert may(installed, account("narrow"), *rights) == [True, False, False, False]


def aggregated(server: ApiServer, name: str) -> list[str]:
    """The chart's ClusterRoles that the controller of a whole cluster makes part of the ClusterRole `name`."""
    roles = json.loads(kubectl(server, "get", "clusterroles", "-o", "json"))["items"]
    rule = next(one for one in roles if one["metadata"]["name"] == name)["aggregationRule"]
    wanted = [selector["matchLabels"].items() for selector in rule["clusterRoleSelectors"]]
    found = (one["metadata"] for one in roles if one["metadata"]["name"].startswith("edgerun-"))
    return [one["name"] for one in found if any(want <= one.get("labels", {}).items() for want in wanted)]


@pytest.fixture(scope="session")
def people(installed: ApiServer) -> ApiServer:
    """Users called after the ClusterRole that they have in `shop`, and `boss`, who is admin everywhere."""
    for user in ("view", "edit", "admin"):
        for role in aggregated(installed, user):
            bound = ("--clusterrole", role, "--user", user)
            kubectl(installed, "create", "rolebinding", f"{user}-{role}", "-n", "shop", *bound)
    for role in aggregated(installed, "admin"):
        kubectl(installed, "create", "clusterrolebinding", f"boss-{role}", "--clusterrole", role, "--user", "boss")
    return installed


def test_a_user_who_may_edit_a_namespace_may_create_routes_there(people: ApiServer) -> None:
    create(people, edge_route("shop", "made-by-edit"), user="edit")
    kubectl(people, "--as", "edit", "-n", "shop", "label", "edgeroute", "made-by-edit", "a=b")
    kubectl(people, "--as", "edit", "-n", "shop", "delete", "edgeroute", "made-by-edit")


def test_a_user_who_may_view_a_namespace_reads_routes_and_writes_none(people: ApiServer) -> None:
    kubectl(people, "--as", "view", "-n", "shop", "get", "edgeroutes,originservices")
    done = ask(
        people, "kubectl", "--as", "view", "create", "-f", "-", stdin=yaml.safe_dump(edge_route("shop", "by-view"))
    )
    assert 'User "view" cannot create resource "edgeroutes"' in done.stderr


def test_nobody_gets_rights_in_another_namespace_or_on_a_status(people: ApiServer) -> None:
    elsewhere = [Right("other", "edgerun.dev", "edgeroutes", "", verb) for verb in VERBS]
    status = [Right("shop", "edgerun.dev", "edgeroutes/status", "", verb) for verb in ("update", "patch")]
    for user in ("view", "edit", "admin"):
        assert not any(may(people, user, *elsewhere, *status))


def test_revisions_are_the_operators_to_make_and_the_users_to_keep_or_delete(people: ApiServer) -> None:
    def allowed(user: str, resource: str, *verbs: str) -> list[str]:
        rights = [Right("shop", "edgerun.dev", resource, "", verb) for verb in verbs]
        return [verb for verb, yes in zip(verbs, may(people, user, *rights), strict=True) if yes]

    assert allowed("view", "originrevisions", *VERBS) == ["get", "list", "watch"]
    assert allowed("edit", "originrevisions", *VERBS) == [verb for verb in VERBS if verb != "create"]
    assert allowed("edit", "originrevisions/status", "update", "patch") == []
    assert allowed("view", "originservices/scale", "get", "update", "patch") == ["get"]
    assert allowed("edit", "originservices/scale", "get", "update", "patch") == ["get", "update", "patch"]


def test_fleets_are_for_administrators_of_the_whole_cluster(people: ApiServer) -> None:
    writing = [Right("", "edgerun.dev", "edgeproxies", "", verb) for verb in ("create", "update", "patch", "delete")]
    for user in ("view", "edit", "admin"):
        assert not any(may(people, user, *writing))
    assert all(may(people, "boss", *writing))
