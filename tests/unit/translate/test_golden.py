"""Golden files: one behaviour each, as the YAML that a user writes and the Plan that follows from it."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from edgerun.translate.rendering import rendered, static_config
from edgerun.translate.translator import translate
from edgerun.translate.world import World
from support.golden import cases, check
from support.objects import world_from

GOLDEN = Path(__file__).parents[2] / "golden" / "translate"
CASES = cases(GOLDEN)
ENVOY = Path(sys.executable).with_name("envoy")


@pytest.mark.parametrize("case", CASES)
def test_the_plan_is_what_the_golden_file_says(case: str, update_golden: bool) -> None:
    plan = rendered(translate(world_from(GOLDEN / f"{case}.in.yaml")))
    del plan["listeners"]  # the same in all of them, and a golden file of its own
    check(GOLDEN / f"{case}.out.yaml", plan, update=update_golden)


def test_the_listener_is_what_the_golden_file_says(update_golden: bool) -> None:
    check(GOLDEN / "listener.out.yaml", rendered(translate(World()))["listeners"], update=update_golden)


@pytest.mark.envoy
@pytest.mark.parametrize("case", CASES)
def test_envoy_takes_it(case: str, tmp_path: Path) -> None:
    config = tmp_path / "envoy.yaml"
    static = static_config(translate(world_from(GOLDEN / f"{case}.in.yaml")))
    config.write_text(yaml.safe_dump(static).replace("/etc/ssl/cert.pem", "/etc/ssl/certs/ca-certificates.crt"))
    run = subprocess.run([ENVOY, "--mode", "validate", "-c", config], capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr[-2000:]


def test_every_golden_file_has_its_input() -> None:
    written = {path.name.removesuffix(".out.yaml") for path in GOLDEN.glob("*.out.yaml")} - {"listener"}
    assert written == set(CASES)
