"""Pods for tests in a cluster, of the strictest kind, of Edgerun's own image: nothing else has to be built or loaded.

The origin is support/origins.py, which comes to its pods as a ConfigMap.
Trap: it waits for SIGTERM as the first process of its container, where signals without a handler do nothing.
"""

from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("origins.py")
FOLDER = "/origin"
PORT = 8080
POD_CONTEXT = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
CONTEXT = {
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


def restricted(image: str, command: list[str], **container: Any) -> dict[str, Any]:
    """The spec of a pod that runs one command under the restricted Pod Security standard."""
    about = {"image": image, "imagePullPolicy": "Never", "command": command, "securityContext": CONTEXT}
    return {
        "securityContext": POD_CONTEXT,
        "terminationGracePeriodSeconds": 10,
        "containers": [{"name": "main", **about, **container}],
    }


def pod(name: str, spec: dict[str, Any]) -> dict[str, Any]:
    """A pod that runs once."""
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"restartPolicy": "Never", **spec}}


def origin_program() -> dict[str, Any]:
    """What a namespace must hold before pods of `origin` start in it."""
    data = {PROGRAM.name: PROGRAM.read_text()}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "origin"}, "data": data}


def origin(image: str, **env: str) -> dict[str, Any]:
    """The spec of a pod that answers on PORT as support/origins.py does; NAME in `env` is what it calls itself."""
    values = {"ADDRESS": "0.0.0.0", "PORT": str(PORT), **env}
    spec = restricted(
        image,
        ["python3", f"{FOLDER}/{PROGRAM.name}"],
        env=[{"name": name, "value": value} for name, value in values.items()],
        ports=[{"name": "http", "containerPort": PORT}],
        readinessProbe={"httpGet": {"path": "/", "port": PORT}, "periodSeconds": 1},
        volumeMounts=[{"name": "origin", "mountPath": FOLDER}],
    )
    return {**spec, "volumes": [{"name": "origin", "configMap": {"name": "origin"}}]}
