"""What a template reads, when a change of it is a rollout, and what is said of it."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgerun.api.conditions import ConditionType
from edgerun.api.meta import Condition, ObjectKey
from edgerun.api.originservice import OriginService, OriginServiceStatus, UsedVersion
from edgerun.api.pods import Deployment
from edgerun.translate import references
from edgerun.translate.observed import origin_observation
from edgerun.translate.phases import OriginPhase
from edgerun.translate.references import MARK, MAX_TOLD, RECORD, Reference, mark, rolled, wanted
from edgerun.translate.statuses import origin_status
from edgerun.translate.translator import translate
from edgerun.translate.workloads import origin_deployment
from edgerun.translate.world import (
    Installation,
    OriginObservation,
    Referred,
    Rolled,
    Version,
    World,
)
from support.objects import first, origin_service, run

PLACE = Installation(namespace="edgerun-system")
AT = "spec.template.spec"
REFUSED = (
    'GET /api/v1/namespaces/shop/secrets: secrets is forbidden: User "system:serviceaccount:operators:robot" cannot '
    'list resource "secrets" in API group "" in the namespace "shop"'
)


def secret_key(name: str, **more: Any) -> dict[str, Any]:
    return {"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": "a", **more}}}


def reading(*variables: Mapping[str, Any], rotation: str = "Rollout", **pod: Any) -> OriginService:
    """An OriginService `cart` whose first container has these variables."""
    template = {"spec": {"containers": [{"image": "cart:1", "env": variables}], **pod}}
    metadata = {"name": "cart", "namespace": "shop", "uid": "u"}
    return msgspec.convert(
        {"metadata": metadata, "spec": {"template": template, "secretRotation": rotation}}, OriginService
    )


DB = reading(secret_key("db"))


def seen(**versions: str) -> Referred:
    """Secrets of the namespace, by name."""
    return Referred({ObjectKey("Secret", "shop", name): version for name, version in versions.items()})


def observed(bears: Rolled, phase: OriginPhase = OriginPhase.READY) -> OriginObservation:
    return OriginObservation(phase, rolled=bears)


def world(service: OriginService, referred: Referred, bears: Rolled | None = None, **more: Any) -> World:
    observations = {first(service.key): observed(bears, **more)} if bears is not None else {}
    return World(installation=PLACE, origins=(service,), referred=referred, observations=observations)


def deployment(it: World) -> dict[str, Any]:
    (made,) = (dict(one) for one in translate(it).manifests if one["kind"] == "Deployment")
    return made


def borne(it: World) -> Rolled:
    """What the Deployment of the only origin is made to bear."""
    return rolled(msgspec.convert(deployment(it), Deployment))


def status(it: World, before: OriginServiceStatus | None = None) -> OriginServiceStatus:
    (service,) = it.origins
    return origin_status(translate(it).verdicts[service.key], before or OriginServiceStatus(), now="t1")


def resolved(said: OriginServiceStatus) -> Condition:
    return next(part for part in said.conditions if part.type == ConditionType.RESOLVED_REFS)


# What a template reads.


def test_every_place_of_a_template_that_names_one_is_found() -> None:
    service = reading(
        secret_key("variable"),
        {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "setting", "key": "b"}}},
        {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        {"name": "D", "value": "db"},
        initContainers=[
            {
                "name": "migrate",
                "image": "cart:1",
                "env": [secret_key("first")],
                "envFrom": [{"secretRef": {"name": "all"}}],
            },
        ],
        volumes=[
            {"name": "a", "secret": {"secretName": "files"}},
            {"name": "b", "configMap": {"name": "pages", "optional": True}},
            {"name": "c", "projected": {"sources": [{"secret": {"name": "part"}}, {"configMap": {"name": "other"}}]}},
            {"name": "d", "emptyDir": {}},
        ],
        imagePullSecrets=[{"name": "registry"}],
    )
    found = {(one.kind, one.name): one.field for one in references.references(service)}
    assert found == {
        ("ConfigMap", "other"): f"{AT}.volumes[2].projected.sources[1].configMap.name",
        ("ConfigMap", "pages"): f"{AT}.volumes[1].configMap.name",
        ("ConfigMap", "setting"): f"{AT}.containers[0].env[1].valueFrom.configMapKeyRef.name",
        ("Secret", "all"): f"{AT}.initContainers[0].envFrom[0].secretRef.name",
        ("Secret", "files"): f"{AT}.volumes[0].secret.secretName",
        ("Secret", "first"): f"{AT}.initContainers[0].env[0].valueFrom.secretKeyRef.name",
        ("Secret", "part"): f"{AT}.volumes[2].projected.sources[0].secret.name",
        ("Secret", "variable"): f"{AT}.containers[0].env[0].valueFrom.secretKeyRef.name",
    }


def test_what_is_optional_in_one_place_and_needed_in_another_is_needed() -> None:
    service = reading(secret_key("db", optional=True), secret_key("db"), secret_key("more", optional=True))
    field = f"{AT}.containers[0].env[{{}}].valueFrom.secretKeyRef.name"
    assert references.references(service) == (
        Reference("Secret", "db", False, field.format(1)),
        Reference("Secret", "more", True, field.format(2)),
    )


@pytest.mark.parametrize(
    "volume",
    [
        {"secret": None},
        {"secret": "db"},
        {"secret": {"secretName": 7}},
        {"secret": {}},
        {"projected": []},
        {"projected": {"sources": {"secret": {"name": "db"}}}},
        {"projected": {"sources": [None, {"secret": []}]}},
    ],
)
def test_nonsense_that_only_an_api_server_would_refuse_is_no_reference(volume: dict[str, Any]) -> None:
    assert references.references(reading(volumes=[{"name": "a", **volume}])) == ()


def test_only_names_of_origins_that_roll_out_are_wanted() -> None:
    ignoring = reading(secret_key("quiet"), rotation="Ignore")
    assert wanted([DB, ignoring, origin_service("web")]) == {ObjectKey("Secret", "shop", ""): frozenset({"db"})}


# When a change is a rollout.


NAMES = st.from_regex(r"[a-z0-9]([-a-z0-9.]{0,20}[a-z0-9])?", fullmatch=True)
VERSIONS = st.lists(
    st.builds(Version, st.sampled_from(["Secret", "ConfigMap"]), NAMES, st.from_regex(r"[0-9]{0,8}", fullmatch=True)),
    unique_by=lambda one: one[:2],
)


@given(VERSIONS, st.randoms())
def test_the_same_versions_give_the_same_mark_in_whatever_order(versions: list[Version], random: Any) -> None:
    shuffled = versions.copy()
    random.shuffle(shuffled)
    assert mark(shuffled) == mark(versions)


@given(VERSIONS, VERSIONS)
def test_other_versions_give_another_mark(some: list[Version], others: list[Version]) -> None:
    assert (mark(some) == mark(others)) == (set(some) == set(others))


@given(VERSIONS)
def test_what_is_written_on_a_deployment_is_read_again(versions: list[Version]) -> None:
    made = origin_deployment(run(DB), Rolled(tuple(sorted(versions)), "abc"))
    assert rolled(msgspec.convert(made, Deployment)) == Rolled(tuple(sorted(versions)), "abc")


def test_what_somebody_else_wrote_there_is_nothing() -> None:
    metadata = {"annotations": {RECORD: "nonsense,Secret/db=7,=,Secret/=1"}}
    assert rolled(msgspec.convert({"metadata": metadata}, Deployment)).versions == (Version("Secret", "db", "7"),)


def test_a_deployment_that_is_new_notes_the_versions_and_no_mark() -> None:
    made = deployment(world(DB, seen(db="7")))
    assert made["metadata"]["annotations"] == {RECORD: "Secret/db=7"}
    assert "annotations" not in made["spec"]["template"]["metadata"]


def test_another_version_is_a_rollout_and_the_same_one_is_none() -> None:
    bears = borne(world(DB, seen(db="7"), Rolled((Version("Secret", "db", "6"),))))
    assert bears == Rolled((Version("Secret", "db", "7"),), mark([Version("Secret", "db", "7")]))
    assert borne(world(DB, seen(db="7"), bears)) == bears


@pytest.mark.parametrize("bears", [Rolled(), Rolled((Version("Secret", "db", "6"),), "abc")])
def test_what_is_not_known_is_no_rollout(bears: Rolled) -> None:
    """After a start, without the right, and while something that pods would wait for is missing."""
    for referred in (Referred(), Referred(refused={ObjectKey("Secret", "shop", ""): REFUSED}), seen(db="")):
        assert borne(world(DB, referred, bears)) == bears


def test_who_sees_the_versions_for_the_first_time_replaces_no_pod() -> None:
    assert borne(world(DB, seen(db="7"), Rolled(mark="abc"))) == Rolled((Version("Secret", "db", "7"),), "abc")


def test_a_reference_that_the_template_did_not_have_before_is_no_second_rollout() -> None:
    both = reading(secret_key("db"), secret_key("mail"))
    bears = borne(world(both, seen(db="7", mail="3"), Rolled((Version("Secret", "db", "7"),), "abc")))
    assert bears == Rolled((Version("Secret", "db", "7"), Version("Secret", "mail", "3")), "abc")


def test_one_that_was_missing_and_pods_waited_for_is_no_rollout_when_it_appears() -> None:
    waiting = borne(world(DB, seen(db="")))
    assert waiting == Rolled()
    assert borne(world(DB, seen(db="7"), waiting)).mark == ""


def test_an_optional_one_that_appears_or_goes_is_a_rollout() -> None:
    service = reading(secret_key("db", optional=True))
    without = borne(world(service, seen(db="")))
    assert without == Rolled((Version("Secret", "db", ""),))
    with_it = borne(world(service, seen(db="7"), without))
    assert with_it.mark
    gone = borne(world(service, seen(db=""), with_it))
    assert gone.mark not in ("", with_it.mark)


def test_one_that_is_needed_and_deleted_is_a_rollout_only_when_it_is_back() -> None:
    bears = Rolled((Version("Secret", "db", "7"),), "abc")
    assert borne(world(DB, seen(db=""), bears)) == bears
    assert borne(world(DB, seen(db="9"), bears)).mark not in ("", "abc")


def test_without_rollout_a_mark_stays_as_it_is_and_nothing_is_noted() -> None:
    """To take it away would replace every pod."""
    ignoring = reading(secret_key("db"), rotation="Ignore")
    made = deployment(world(ignoring, seen(db="8"), Rolled((Version("Secret", "db", "7"),), "abc")))
    assert made["spec"]["template"]["metadata"]["annotations"] == {MARK: "abc"}
    assert "annotations" not in made["metadata"]
    assert "annotations" not in deployment(world(ignoring, seen(db="8")))["spec"]["template"]["metadata"]


def test_annotations_of_the_user_stay() -> None:
    service = msgspec.convert(
        {
            "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {
                "secretRotation": "Rollout",
                "template": {
                    "metadata": {"annotations": {"a": "b"}},
                    "spec": {"containers": [{"env": [secret_key("db")]}]},
                },
            },
        },
        OriginService,
    )
    made = deployment(world(service, seen(db="7"), Rolled((Version("Secret", "db", "6"),))))
    assert made["spec"]["template"]["metadata"]["annotations"].keys() == {"a", MARK}


@settings(deadline=None)
@given(st.lists(st.sampled_from(["", "1", "2", "3", None]), max_size=12))
def test_however_it_goes_there_is_one_rollout_for_each_change_and_none_else(history: list[str | None]) -> None:
    """None: the versions are not known, as after a start of the control plane."""
    bears, ran, marks = Rolled(), None, 0
    for version in history:
        referred = Referred() if version is None else seen(db=version)
        after = borne(world(DB, referred, bears))
        if version and ran not in (None, version):
            marks += 1
            assert after.mark != bears.mark
        else:
            assert after.mark == bears.mark
        ran = version or ran
        bears = after
        assert borne(world(DB, referred, bears)) == bears, "at rest"


# What is said.


def test_without_rollout_and_outside_of_a_cluster_nothing_is_said_of_references() -> None:
    ignoring = world(reading(secret_key("db"), rotation="Ignore"), seen(db=""), Rolled())
    local = replace(world(DB, seen(db=""), Rolled()), installation=None)
    for said in (status(ignoring), status(local)):
        assert [part.type for part in said.conditions] == ["Accepted", "ContainerHealthy", "Ready"]
        assert said.references == ()


def test_the_status_has_the_versions_with_which_the_pods_were_made_that_serve() -> None:
    bears = Rolled((Version("ConfigMap", "off", ""), Version("Secret", "db", "7")), "abc")
    said = status(world(DB, seen(db="8"), bears))
    assert said.references == (UsedVersion(kind="Secret", name="db", version="7"),)
    assert resolved(said).status == "True"
    during = status(world(DB, seen(db="8"), replace(bears, mark="def"), phase=OriginPhase.STARTING), said)
    assert during.references == said.references


def test_a_status_has_as_many_as_the_definition_allows() -> None:
    bears = Rolled(tuple(Version("Secret", f"s{number}", "1") for number in range(MAX_TOLD + 5)))
    assert len(status(world(DB, seen(db="1"), bears)).references) == MAX_TOLD


def test_one_that_is_missing_is_named_with_the_field_that_names_it() -> None:
    said = status(world(DB, seen(db=""), Rolled()))
    part = resolved(said)
    assert (part.status, part.reason) == ("False", "ReferenceNotFound")
    assert part.message == (
        'spec.template.spec.containers[0].env[0].valueFrom.secretKeyRef.name: Secret "db" not found in namespace shop; '
        "new replicas wait for it"
    )
    assert said.conditions[-1].reason == "ReferenceNotFound"


def test_one_that_is_optional_may_be_missing() -> None:
    assert resolved(status(world(reading(secret_key("db", optional=True)), seen(db=""), Rolled()))).status == "True"


def test_many_that_are_missing_are_not_all_listed() -> None:
    service = reading(*(secret_key(f"s{number}") for number in range(9)))
    said = resolved(status(world(service, seen(**{f"s{number}": "" for number in range(9)}), Rolled())))
    assert said.message.count("not found") == 5
    assert said.message.endswith(" and 4 more")


def test_without_the_right_both_ways_out_are_said_for_the_account_that_was_refused() -> None:
    refused = Referred(refused={ObjectKey("Secret", "shop", ""): REFUSED})
    part = resolved(status(world(DB, refused, Rolled())))
    assert (part.status, part.reason) == ("False", "RefNotPermitted")
    command = (
        "kubectl -n shop create rolebinding edgerun-references --clusterrole=edgerun-references "
        "--serviceaccount=operators:robot"
    )
    assert command in part.message
    assert "secretRotation.enabled" in part.message
    assert "Secrets of namespace shop" in part.message
    unreadable = Referred(refused={ObjectKey("Secret", "shop", ""): "no"})
    assert "edgerun-system:edgerun" in resolved(status(world(DB, unreadable, Rolled()))).message


def test_the_right_on_a_kind_that_a_template_does_not_read_is_not_missed() -> None:
    referred = Referred(seen(db="7").versions, {ObjectKey("ConfigMap", "shop", ""): "no"})
    assert resolved(status(world(DB, referred, Rolled()))).status == "True"


def test_while_nothing_is_known_the_last_word_holds() -> None:
    assert not [part for part in status(world(DB, Referred(), Rolled())).conditions if part.type == "ResolvedRefs"]
    before = status(world(DB, seen(db=""), Rolled()))
    after = status(world(DB, Referred(), Rolled()), before)
    assert after == before


def test_nothing_that_is_said_changes_by_a_start_of_the_control_plane() -> None:
    bears = Rolled((Version("Secret", "db", "7"),), "abc")
    before = status(world(DB, seen(db="7"), bears))
    assert status(world(DB, Referred(), bears), before) == before
    assert status(world(DB, seen(db="7"), bears), before) == before


# What is said where the operator sees no Secret: from the pods alone.


def pod(service: OriginService, *, mark: str = "", **status: Any) -> dict[str, Any]:
    template = origin_deployment(run(service), Rolled(mark=mark))["spec"]["template"]
    metadata = {**template["metadata"], "name": f"cart-{mark}", "namespace": "shop"}
    return {"metadata": metadata, "spec": template["spec"], "status": {"podIP": "10.0.0.1", **status}}


READY = {"conditions": [{"type": "Ready", "status": "True"}]}


def waiting(reason: str, message: str) -> dict[str, Any]:
    return {"containerStatuses": [{"name": "app", "state": {"waiting": {"reason": reason, "message": message}}}]}


@pytest.mark.parametrize(
    ("kubelet", "field"),
    [
        ('secret "db" not found', "containers[0].env[0].valueFrom.secretKeyRef.name"),
        ('configmap "pages" not found', "containers[0].env[1].valueFrom.configMapKeyRef.name"),
        ("couldn't find key a in Secret shop/db", "containers[0].env[0].valueFrom.secretKeyRef.name"),
    ],
)
def test_what_a_container_lacks_is_told_with_the_field_and_the_namespace(kubelet: str, field: str) -> None:
    pages = {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "pages", "key": "b"}}}
    service = reading(secret_key("db"), pages, rotation="Ignore")
    pods = [pod(service, **waiting("CreateContainerConfigError", kubelet))]
    seen = origin_observation(service, "cart-00001", origin_deployment(run(service)), pods)
    assert seen.reason == "CreateContainerConfigError"
    assert seen.message == f'container "app": {kubelet}; {AT}.{field} names it, in namespace shop'


def test_other_words_of_a_kubelet_stay_as_they_are() -> None:
    pods = [pod(DB, **waiting("CreateContainerConfigError", "container has runAsNonRoot and image will run as root"))]
    assert origin_observation(DB, "cart-00001", origin_deployment(run(DB)), pods).message.endswith("will run as root")


def test_a_pod_that_waits_for_its_volumes_says_which_they_are() -> None:
    service = reading(
        volumes=[
            {"name": "a", "secret": {"secretName": "db"}},
            {"name": "b", "configMap": {"name": "x", "optional": True}},
        ]
    )
    conditions = [
        {"type": "PodReadyToStartContainers", "status": "False"},
        {"type": "PodScheduled", "status": "True"},
        {"type": "Ready", "status": "False"},
    ]
    pods = [pod(service, **waiting("ContainerCreating", ""), conditions=conditions)]
    said = origin_observation(service, "cart-00001", origin_deployment(run(service)), pods).message
    assert said == (
        'container "app" is being created, as soon as there is Secret "db" '
        "(spec.template.spec.volumes[0].secret.secretName) of namespace shop"
    )


def test_pods_made_before_the_change_serve_on_and_are_not_the_newest() -> None:
    old = pod(DB, mark="old", **READY)
    there = origin_deployment(run(DB), Rolled((Version("Secret", "db", "8"),), "new"))
    during = origin_observation(DB, "cart-00001", there, [old])
    assert (during.phase, len(during.endpoints)) == (OriginPhase.STARTING, 1)
    after = origin_observation(DB, "cart-00001", there, [old, pod(DB, mark="new", **READY)])
    assert after.phase is OriginPhase.READY
    assert after.rolled == Rolled((Version("Secret", "db", "8"),), "new")
