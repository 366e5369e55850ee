"""What the operator's pod is told: flags, the environment, and what is said of it when it is wrong."""

import argparse
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from edgerun import cli
from edgerun.cli import controller, logs
from edgerun.errors import SettingsError
from edgerun.settings import ClusterSettings

POD = {"POD_NAMESPACE": "edge-system", "POD_NAME": "edgerun-7d", "POD_IP": "10.1.2.3"}
NEEDED = {**POD, "EDGERUN_IMAGE": "edgerun:1"}


def settings(*flags: str, **environment: str) -> ClusterSettings:
    parser = argparse.ArgumentParser()
    controller.add(parser.add_subparsers())
    options = vars(parser.parse_args(["controller", *flags]))
    return controller.settings(controller.with_environment(options, environment))


def test_in_a_pod_the_environment_says_who_one_is_and_the_rest_has_defaults() -> None:
    assert settings("--image", "edgerun:1", **POD) == ClusterSettings(
        namespace="edge-system", pod_name="edgerun-7d", pod_ip="10.1.2.3", image="edgerun:1"
    )


def test_flags_count_for_more_than_the_environment() -> None:
    found = settings(
        "--namespace", "mine", "--xds-port", "1", **NEEDED, EDGERUN_NAMESPACE="theirs", EDGERUN_XDS_PORT="2"
    )
    assert (found.namespace, found.xds_port) == ("mine", 1)


def test_the_variable_of_edgerun_counts_for_more_than_the_pods() -> None:
    assert settings(**NEEDED, EDGERUN_POD_IP="10.9.9.9").pod_ip == "10.9.9.9"


@pytest.mark.parametrize(
    ("flags", "variables", "field", "value"),
    [
        (("--image-pull-policy", "Never"), {"EDGERUN_IMAGE_PULL_POLICY": "Never"}, "image_pull_policy", "Never"),
        (
            ("--image-pull-secret", "a", "--image-pull-secret", "b"),
            {"EDGERUN_IMAGE_PULL_SECRET": "a, b,"},
            "image_pull_secrets",
            ("a", "b"),
        ),
        (("--watch-namespace", "shop"), {"EDGERUN_WATCH_NAMESPACE": "shop"}, "watch_namespaces", ("shop",)),
        (("--name", "other"), {"EDGERUN_NAME": "other"}, "name", "other"),
        (("--http-port", "8181"), {"EDGERUN_HTTP_PORT": "8181"}, "http_port", 8181),
        (("--kubeconfig", "/k"), {"EDGERUN_KUBECONFIG": "/k"}, "kubeconfig", Path("/k")),
        (
            ("--default-edge-proxy", '{"replicas": 3}'),
            {"EDGERUN_DEFAULT_EDGE_PROXY": '{"replicas": 3}'},
            "default_edge_proxy",
            {"replicas": 3},
        ),
        (("--issuer", "https://i.example"), {"EDGERUN_ISSUER": "https://i.example"}, "issuer", "https://i.example"),
        (("--trust-domain", "shop.example"), {"EDGERUN_TRUST_DOMAIN": "shop.example"}, "trust_domain", "shop.example"),
        (("--token-life", "5m"), {"EDGERUN_TOKEN_LIFE": "5m"}, "token_life", timedelta(minutes=5)),
        (("--token-renewal", "0.1"), {"EDGERUN_TOKEN_RENEWAL": "0.1"}, "token_renewal", 0.1),
        (("--key-interval", "10m"), {"EDGERUN_KEY_INTERVAL": "10m"}, "key_interval", timedelta(minutes=10)),
        (("--key-overlap", "1h30m"), {"EDGERUN_KEY_OVERLAP": "1h30m"}, "key_overlap", timedelta(minutes=90)),
    ],
)
def test_every_flag_is_also_a_variable(
    flags: tuple[str, ...], variables: dict[str, str], field: str, value: Any
) -> None:
    assert getattr(settings(*flags, **NEEDED), field) == value
    assert getattr(settings(**NEEDED, **variables), field) == value


def test_the_issuer_is_by_default_the_operators_own_service() -> None:
    assert settings(**NEEDED).issuer == "https://edgerun.edge-system.svc"
    assert settings("--name", "other", **NEEDED).issuer == "https://other.edge-system.svc"


def test_all_that_cannot_be_about_credentials_is_told_at_once_with_what_is_missing() -> None:
    with pytest.raises(SettingsError) as told:
        settings("--image", "i", "--issuer", "i", "--token-life", "1", "--key-interval", "1m", "--token-renewal", "2")
    lines = str(told.value).splitlines()
    assert [line.partition(" (or")[0] for line in lines] == [
        "the controller must be told --namespace",
        "--issuer",
        "--token-life",
        "--token-renewal",
        "--key-interval",
    ]


def test_all_that_is_missing_is_named_at_once() -> None:
    with pytest.raises(SettingsError) as told:
        settings()
    for name in ("namespace", "pod-name", "pod-ip", "image"):
        assert f"--{name} (or EDGERUN_{name.replace('-', '_').upper()})" in str(told.value)


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"EDGERUN_XDS_PORT": "http"}, "EDGERUN_XDS_PORT: 'http' is no port; write a number from 1 to 65535"),
        ({"EDGERUN_HTTP_PORT": "65536"}, "EDGERUN_HTTP_PORT: '65536' is no port"),
        ({"EDGERUN_HTTP_PORT": "0"}, "EDGERUN_HTTP_PORT: '0' is no port"),
        ({"EDGERUN_LOG_LEVEL": "loud"}, "EDGERUN_LOG_LEVEL: 'loud' is none of"),
        ({"EDGERUN_LOG_FORMAT": "xml"}, "EDGERUN_LOG_FORMAT: 'xml' is none of text, json"),
        ({"EDGERUN_IMAGE_PULL_POLICY": "always"}, "'always' is none of Always, IfNotPresent, Never"),
        ({"EDGERUN_DEFAULT_EDGE_PROXY": "{"}, "--default-edge-proxy is not JSON"),
        ({"EDGERUN_DEFAULT_EDGE_PROXY": "[]"}, "is no object; write the spec of an EdgeProxy"),
        (
            {"EDGERUN_ISSUER": "http://i"},
            "--issuer (or EDGERUN_ISSUER): 'http://i' cannot be an issuer; give https://HOST",
        ),
        ({"EDGERUN_ISSUER": "https://i/"}, "'https://i/' cannot be an issuer"),
        (
            {"EDGERUN_TRUST_DOMAIN": "Shop"},
            "'Shop' cannot be a trust domain; give a DNS name of at most 100 lower-case",
        ),
        ({"EDGERUN_TRUST_DOMAIN": "a" * 101}, "cannot be a trust domain"),
        ({"EDGERUN_TRUST_DOMAIN": "a..b"}, "cannot be a trust domain"),
        ({"EDGERUN_TOKEN_LIFE": "4m59s"}, "4m59s is out of bounds; give a duration from 5m to 24h"),
        ({"EDGERUN_TOKEN_LIFE": "24h1ms"}, "24h1ms is out of bounds"),
        ({"EDGERUN_TOKEN_LIFE": "1d"}, "'1d' is no duration; write one such as 90m or 1h30m, from 5m to 24h"),
        ({"EDGERUN_TOKEN_RENEWAL": "0.95"}, "'0.95' is no part of a token's life; write a number from 0.1 to 0.9"),
        ({"EDGERUN_TOKEN_RENEWAL": "nan"}, "'nan' is no part of a token's life"),
        ({"EDGERUN_TOKEN_RENEWAL": "half"}, "'half' is no part of a token's life"),
        ({"EDGERUN_KEY_INTERVAL": "9m"}, "--key-interval (or EDGERUN_KEY_INTERVAL): 9m is out of bounds"),
        ({"EDGERUN_KEY_OVERLAP": "9m59s"}, "--key-overlap (or EDGERUN_KEY_OVERLAP): 9m59s is out of bounds"),
    ],
)
def test_what_cannot_be_is_said_with_what_can(variables: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError) as told:
        settings(**NEEDED, **variables)
    assert said in str(told.value)


@pytest.mark.parametrize("flags", [("--xds-port", "0"), ("--log-level", "loud"), ("--unknown",)])
def test_flags_that_cannot_be_end_with_exit_code_2(flags: tuple[str, ...]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["controller", *flags])
    assert ended.value.code == 2


def test_settings_that_are_missing_end_with_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in NEEDED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(logs, "set_up", lambda format_, level: None)  # it is for a whole process
    assert cli.main(["controller", "--namespace", "n"]) == 2
    assert "the controller must be told --pod-name (or EDGERUN_POD_NAME)" in capsys.readouterr().err


def test_a_drain_where_no_envoy_runs_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["drain", "--admin-socket", str(tmp_path / "none.sock"), "--at-least=0", "--timeout=1"]) == 1
    assert "there is nothing to drain" in capsys.readouterr().err
