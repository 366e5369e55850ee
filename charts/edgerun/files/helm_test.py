"""What `helm test` runs: the operator answers, the API server takes an EdgeRoute, and the operator gives it a status.

The route names a fleet that does not exist, so no edge proxy learns of it, and it is deleted in any case. Only the
standard library is used. Trap: the operator says something of a route of no fleet too, and that is all that is asked.
"""

import json
import os
import ssl
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
FLEET = "no-fleet-of-this-name"
WITHIN_S = 60.0
CALL_S = 10.0


def main(readyz: str, namespace: str, name: str) -> None:
    patiently(lambda: answered(readyz), "the operator to be ready")
    print(f"the operator is ready: {readyz}", flush=True)
    remove(namespace, name)  # what a run that was killed has left
    create(namespace, name)
    try:
        said = patiently(lambda: conditions(namespace, name), "the operator to give the EdgeRoute a status")
    finally:
        remove(namespace, name)
    print(f"the operator has seen an EdgeRoute, and says: {json.dumps(said)}")


def answered(url: str) -> bool:
    with urllib.request.urlopen(url, timeout=CALL_S) as answer:  # noqa: S310
        return bool(answer.status == 200)


def create(namespace: str, name: str) -> None:
    rules = [{"name": "all", "respond": {"status": 200, "body": "helm test"}}]
    route = {
        "apiVersion": "edgerun.dev/v1alpha1",
        "kind": "EdgeRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"edge": FLEET, "hostnames": [f"{name}.invalid"], "rules": rules},
    }
    asked("POST", f"{routes(namespace)}?fieldValidation=Strict", route)


def conditions(namespace: str, name: str) -> list[dict[str, str]]:
    """What is said of the newest version; nothing yet is an empty list."""
    route = asked("GET", f"{routes(namespace)}/{name}")
    generation = route["metadata"]["generation"]
    found = route.get("status", {}).get("conditions", [])
    of_it = [one for one in found if one.get("observedGeneration") == generation]
    return [{key: one[key] for key in ("type", "status", "reason")} for one in of_it]


def remove(namespace: str, name: str) -> None:
    try:
        asked("DELETE", f"{routes(namespace)}/{name}")
    except urllib.error.HTTPError as error:
        if error.code != 404:
            raise


def routes(namespace: str) -> str:
    return f"/apis/edgerun.dev/v1alpha1/namespaces/{namespace}/edgeroutes"


def asked(method: str, path: str, body: object = None) -> Any:
    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ["KUBERNETES_SERVICE_PORT"]
    where = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    token = (ACCOUNT / "token").read_text()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(where + path, data, headers, method=method)  # noqa: S310
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # from Python 3.13 on; many a cluster's authority does not stand it
    try:
        with urllib.request.urlopen(request, timeout=CALL_S, context=context) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        error.add_note(f"{method} {path}: {error.read().decode(errors='replace')}")
        raise


def patiently(check: Any, what: str) -> Any:
    """The first true answer of `check`; OSError, which urllib's errors are, means not yet."""
    ends, last = time.monotonic() + WITHIN_S, ""
    while time.monotonic() < ends:
        try:
            if found := check():
                return found
        except OSError as error:
            last = f", last: {error}"
        time.sleep(0.5)
    sys.exit(f"waited {WITHIN_S:g} s for {what}, in vain{last}")


if __name__ == "__main__":
    main(*sys.argv[1:])
