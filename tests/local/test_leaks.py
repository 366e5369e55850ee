"""What a standalone instance has in memory alone is in nothing that can be seen of it: no log, no status, no file."""

import asyncio
import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from edgerun.infra import admin
from edgerun.infra.local.instance import instances
from edgerun.translate.guard_policy import CREDENTIAL_HEADER
from edgerun.translate.plan import SECRET
from local.harness import marked
from support.poll import eventually
from support.sieve import Texts, holding, suspicious
from support.standalone import Standalone, standalone

pytestmark = pytest.mark.envoy

EDGERUN = Path(sys.executable).with_name("edgerun")
ECHO = Path(__file__).parents[1] / "support" / "origins.py"
ADMIN_PAGES = ("/config_dump?include_eds", "/certs", "/clusters", "/listeners", "/server_info", "/stats/prometheus")
KEY = "PRIVATE KEY"

# The app of `plain` is shown what the edge shows guards; the guard of `closed` refuses everybody.
FILES = "\n---\n".join(
    f"""
apiVersion: edgerun.dev/v1alpha1
kind: OriginService
metadata: {{name: {name}, namespace: shop}}
spec:
  {spec}
  template: {{spec: {{containers: [{{command: [python3, "{ECHO}"]}}]}}}}
---
apiVersion: edgerun.dev/v1alpha1
kind: EdgeRoute
metadata: {{name: {name}, namespace: shop}}
spec: {{hostnames: [{name}.test], rules: [{{origins: [{{service: {{name: {name}}}}}]}}]}}
"""
    for name, spec in (("cart", "guard: Enabled"), ("plain", "guard: Disabled"), ("closed", "access: {invokers: []}"))
)


@pytest.fixture
async def here(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Standalone]:
    caplog.set_level(logging.DEBUG)
    async with standalone(tmp_path, FILES) as here:
        for name in ("cart", "plain", "closed"):
            await here.until(name, kind="OriginService", namespace="shop")
        await here.until("plain", namespace="shop")
        yield here


async def test_no_secret_is_in_anything_that_can_be_seen(here: Standalone, caplog: pytest.LogCaptureFixture) -> None:
    secrets = {*issued(here), *stored(here), await received(here)}
    signing = json.loads(await edgerun("keys", "list", "--output=json", "--directory", str(here.directory)))["signing"]
    await edgerun("keys", "revoke", "--yes", "--directory", str(here.directory), "--", signing)
    await eventually(lambda: answered(here, secrets))
    for name, status in (("cart", 200), ("closed", 403), ("nobody", 404)):
        assert (await here.get("/?a=b", host=f"{name}.test", headers=[("authorization", "Basic x")])).status == status
    await eventually(lambda: len(here.audience.guards) > 1)
    secrets |= {*issued(here), *stored(here), await received(here)}
    assert len([one for one in secrets if KEY in one]) >= 5, "signing keys, an authority, the edge and its guards"
    assert len([one for one in secrets if KEY not in one]) >= 3, "of each origin, and others after the revocation"

    seen = {**await shown(here), **said(here), "log": caplog.text}
    assert suspicious(seen) == []
    assert holding(seen, secrets) == []
    dumps = [text for where, text in seen.items() if "/config_dump" in where]
    assert len(dumps) == 3, "the edge and two guards"
    assert all("[redacted]" in text and '"workload"' in text for text in dumps)


async def received(here: Standalone) -> str:
    """The credential that the app without a guard is shown."""
    answer = await here.get(host="plain.test")
    headers = {name.lower(): value for name, value in json.loads(answer.body)["headers"]}
    return str(headers[CREDENTIAL_HEADER].removeprefix("Bearer "))


async def answered(here: Standalone, before: set[str]) -> bool:
    """Whether the edge has another credential than before."""
    return await received(here) not in before


def issued(here: Standalone) -> Iterator[str]:
    """All credentials and private keys that proxies are sent."""
    published = here.runtime.controller.published
    assert published
    for resources in here.runtime.controller.secrets(published.plan).values():
        for one in resources.values():
            assert one.type_url == SECRET
            secret = secret_pb2.Secret.FromString(one.body)
            private, generic = secret.tls_certificate.private_key, secret.generic_secret.secret
            yield from (text.inline_string.removeprefix("Bearer ") for text in (private, generic) if text.inline_string)


def stored(here: Standalone) -> Iterator[str]:
    """The private keys that sign."""
    yield from (key.private for key in here.runtime.issuing.holder.keys.keys if key.private)
    yield from (one.key for one in here.runtime._wire.authorities)


async def edgerun(*words: str) -> str:
    process = await asyncio.create_subprocess_exec(EDGERUN, *words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode()


async def shown(here: Standalone) -> Texts:
    """To whoever asks: by commands, in the folders, of the processes, and by the Envoys."""
    folder, (instance,) = str(here.directory), instances(here.directory)
    commands = [("status", folder), ("status", folder, "-o", "yaml"), ("render", folder)]
    commands += [("keys", "list", "--directory", folder), ("keys", "list", "--output=json", "--directory", folder)]
    files = [one for one in instance.directory.iterdir() if one.is_file()]
    files += [Path(f"/proc/{pid}/{file}") for pid in marked(instance.id) for file in ("cmdline", "environ")]
    sockets = [one for one in instance.directory.glob("*.sock") if one.name.startswith(("admin", "g"))]
    return {
        **{" ".join(words): await edgerun(*words) for words in commands},
        **{str(file): file.read_bytes().decode(errors="replace") for file in files},
        **{f"{one.name} {page}": await admin.ask(one, page) for one in sockets for page in ADMIN_PAGES},
    }


def said(here: Standalone) -> Texts:
    """In the terminal."""
    told = here.audience
    return {"lines": str(told.lines), "requests": str(told.requests), "guards": str(told.guards)}
