"""Files that were written for the fleets of a cluster, in the standalone mode, which has one edge."""

from pathlib import Path

import pytest
import yaml

from edgerun import cli
from edgerun.api.meta import ObjectKey
from support.standalone import standalone

FILES = """
apiVersion: edgerun.dev/v1alpha1
kind: EdgeProxy
metadata: {name: default}
spec: {replicas: 3, listeners: [{name: http, port: 8000}]}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeProxy
metadata: {name: blue}
spec: {}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: here}
spec: {hostnames: [here.test], rules: [{respond: {body: here}}]}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {name: there}
spec: {edge: blue, hostnames: [there.test], rules: [{respond: {body: there}}]}
"""


@pytest.mark.envoy
async def test_the_one_edge_is_served_and_the_others_say_that_they_are_not(tmp_path: Path) -> None:
    async with standalone(tmp_path, FILES) as here:
        await here.until("here")
        assert (await here.get(host="here.test")).body == "here"
        assert (await here.get(host="there.test")).status == 404
        lost = await here.until("there", "False")
        assert (lost.reason, lost.message) == (
            "EdgeNotFound",
            'spec.edge: the standalone mode runs the edge "default" alone, not "blue"',
        )
        assert (await here.until("default", kind="EdgeProxy", namespace="")).reason == "Ready"
        assert (await here.until("blue", "False", kind="EdgeProxy", namespace="")).reason == "NotServed"
        url = here.runtime.controller.board.lines[ObjectKey("EdgeRoute", "default", "here")].status
        assert f":{here.port}" in str(url), "the port of a Service is nothing here"


def test_such_files_are_valid_and_can_be_rendered(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all.yaml").write_text(FILES)
    assert cli.main(["validate", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "no problems found\n"
    assert cli.main(["render", str(tmp_path)]) == 0
    plan = yaml.safe_load(capsys.readouterr().out)
    hosts = {host["name"] for host in plan["routes"][0]["virtual_hosts"]}
    assert "here.test" in hosts
    assert "there.test" not in hosts
    assert {one["object"] for one in plan["verdicts"]} >= {"EdgeProxy blue", "EdgeRoute default/there"}
