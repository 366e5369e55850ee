"""The Python twins of the CRDs' CEL rules, for a folder of files has no API server to run them.

Each twin stands under the exact text of its rule: change the one without the other, and the kinds do not load. So do
the words of a rule that says what was given. Rules about a change have no twin: what was before, a folder does not say.
A twin may rely on the structure: it is not asked about a value in which something is of the wrong type or missing.

Trap: CEL's `matches` finds its pattern anywhere in the string, and its `$` is the very end, which is `\\Z` in Python.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .durations import seconds
from .originservice import GUARD_CONTAINER, GUARD_PORT, GUARD_PROBES_PORT, RESERVED_VOLUME_PREFIX
from .templates import DEFAULT_CONTAINER_PORT

Value = Any  # as it comes from YAML or JSON, completed
Twin = Callable[[Value], bool]
Words = Callable[[Value], str]

_ADDRESS = re.compile(r"[0-9]+([.][0-9]+)*")
_DOTS = re.compile(r"/[.][.]?(/|\Z)")
_ESCAPED_SLASH = re.compile(r"%(2[fF]|5[cC])")
_PATH = re.compile(r"([-A-Za-z0-9/._~!$&'()*+,;=:@?#]|%[0-9A-Fa-f][0-9A-Fa-f])*")
_HEADER_NAME = re.compile(r"[-A-Za-z0-9!#$%&'*+.^_`|~]{1,128}")
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_RESERVED_ENV = frozenset(("PORT", "K_SERVICE", "K_REVISION", "K_CONFIGURATION"))
_OUR_LABELS = frozenset(f"app.kubernetes.io/{part}" for part in ("managed-by", "name", "instance"))
_OUR_PREFIX = "edgerun.dev/"
_HOP_BY_HOP = frozenset(
    ("host", "connection", "content-length", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding")
) | {"upgrade"}
_OF_THE_EDGE = ("x-envoy-", "x-edgerun-")


def _distinct(names: Iterable[str]) -> bool:
    folded = [name.lower() for name in names]
    return len(folded) == len(set(folded))


def _literal_path(wrong: Callable[[str], Any]) -> Twin:
    """Holds for a path unless it is to be read literally and something in it is `wrong`."""
    return lambda path: path["type"] == "RegularExpression" or not wrong(path["value"])


def _only_prefixes(action: str) -> Twin:
    def twin(rule: Value) -> bool:
        path = rule.get(action, {}).get("path", {})
        return "replacePrefix" not in path or all(match["path"]["type"] == "PathPrefix" for match in rule["matches"])

    return twin


def _needs_origins(field: str) -> Twin:
    return lambda rule: field not in rule or "origins" in rule


def _unchangeable(prefixes: tuple[str, ...]) -> Twin:
    def twin(names: Iterable[str]) -> bool:
        folded = [name.lower() for name in names]
        return not any(name in _HOP_BY_HOP or name.startswith(prefixes) for name in folded)

    return twin


def _in_one_list(changes: Value) -> bool:
    lists = [{name.lower() for name in changes.get(field, ())} for field in ("set", "add", "remove")]
    return sum(map(len, lists)) == len(set().union(*lists))


def _probed_port(probe: str) -> Twin:
    def twin(containers: Value) -> bool:
        container: Mapping[str, Any] = next(iter(containers), {})
        port = container.get("readinessProbe", {}).get(probe, {}).get("port")
        ports = container.get("ports") or ({"containerPort": DEFAULT_CONTAINER_PORT},)
        return port is None or any(port in (one["containerPort"], one.get("name")) for one in ports)

    return twin


def _first_port_is_tcp(containers: Value) -> bool:
    ports = containers[0].get("ports") if containers else None
    return not ports or ports[0]["protocol"] == "TCP"


def _names_of_their_own(pod: Value) -> bool:
    taken = {container["name"] for container in pod["containers"]}
    return not any(container["name"] in taken for container in pod.get("initContainers", ()))


def _not_above(lesser: str, greater: str) -> Twin:
    """Holds, too, where one of the two is not given."""
    return lambda scaling: lesser not in scaling or greater not in scaling or scaling[lesser] <= scaling[greater]


def _names_its_service(service: Value) -> bool:
    name = service["spec"]["template"].get("metadata", {}).get("name")
    return name is None or name.startswith(f"{service['metadata']['name']}-")


def _total(targets: Value) -> int:
    return sum(target.get("percent", 0) for target in targets)


def _tags_twice(targets: Value) -> list[str]:
    tags = [target["tag"] for target in targets if "tag" in target]
    return [tag for tag in tags if tags.count(tag) > 1]


TWINS: Mapping[str, Twin] = {
    "!self.matches('^[0-9]+([.][0-9]+)*$')": lambda hostname: not _ADDRESS.fullmatch(hostname),
    "self.all(r, !has(r.name) || self.exists_one(q, has(q.name) && q.name == r.name))": lambda rules: _distinct(
        rule["name"] for rule in rules if "name" in rule
    ),
    "[has(self.origins), has(self.respond), has(self.redirect)].exists_one(given, given)": lambda rule: (
        len({"origins", "respond", "redirect"} & rule.keys()) == 1
    ),
    "!has(self.rewrite) || has(self.origins)": _needs_origins("rewrite"),
    "!has(self.timeouts) || has(self.origins)": _needs_origins("timeouts"),
    "!has(self.requestHeaders) || has(self.origins)": _needs_origins("requestHeaders"),
    "!has(self.rewrite) || !has(self.rewrite.path) || !has(self.rewrite.path.replacePrefix) || "
    "self.matches.all(m, m.path.type == 'PathPrefix')": _only_prefixes("rewrite"),
    "!has(self.redirect) || !has(self.redirect.path) || !has(self.redirect.path.replacePrefix) || "
    "self.matches.all(m, m.path.type == 'PathPrefix')": _only_prefixes("redirect"),
    "self.type == 'RegularExpression' || self.value.startsWith('/')": _literal_path(
        lambda value: not value.startswith("/")
    ),
    "self.type == 'RegularExpression' || !self.value.contains('//')": _literal_path(lambda value: "//" in value),
    "self.type == 'RegularExpression' || !self.value.matches('/[.][.]?(/|$)')": _literal_path(_DOTS.search),
    "self.type == 'RegularExpression' || !self.value.matches('%(2[fF]|5[cC])')": _literal_path(_ESCAPED_SLASH.search),
    "self.type == 'RegularExpression' || !self.value.matches('[?#]')": _literal_path(
        lambda value: "?" in value or "#" in value
    ),
    "self.type == 'RegularExpression' || "
    'self.value.matches("^([-A-Za-z0-9/._~!$&\'()*+,;=:@?#]|%[0-9A-Fa-f][0-9A-Fa-f])*$")': _literal_path(
        lambda value: not _PATH.fullmatch(value)
    ),
    "self.all(h, self.exists_one(g, g.name.lowerAscii() == h.name.lowerAscii()))": lambda headers: _distinct(
        header["name"] for header in headers
    ),
    "self.type != 'RegularExpression' || self.value != ''": lambda match: (
        match["type"] != "RegularExpression" or match["value"] != ""
    ),
    "self.exists(o, o.weight > 0)": lambda origins: any(origin["weight"] > 0 for origin in origins),
    "has(self.service) != has(self.url)": lambda origin: ("service" in origin) != ("url" in origin),
    "!has(self.body) || self.body == '' || !(self.status in [204, 304])": lambda respond: (
        not respond.get("body") or respond["status"] not in (204, 304)
    ),
    "has(self.scheme) || has(self.hostname) || has(self.port) || has(self.path)": lambda redirect: bool(
        {"scheme", "hostname", "port", "path"} & redirect.keys()
    ),
    "has(self.replaceFullPath) != has(self.replacePrefix)": lambda path: (
        ("replaceFullPath" in path) != ("replacePrefix" in path)
    ),
    "has(self.hostname) || has(self.path)": lambda rewrite: "hostname" in rewrite or "path" in rewrite,
    "(!has(self.set) || !has(self.add) || "
    "!self.set.exists(n, self.add.exists(m, m.lowerAscii() == n.lowerAscii()))) && "
    "(!has(self.set) || !has(self.remove) || "
    "!self.set.exists(n, self.remove.exists(m, m.lowerAscii() == n.lowerAscii()))) && "
    "(!has(self.add) || !has(self.remove) || "
    "!self.add.exists(n, self.remove.exists(m, m.lowerAscii() == n.lowerAscii())))": _in_one_list,
    'self.all(n, n.matches("^[-A-Za-z0-9!#$%&\'*+.^_`|~]{1,128}$"))': lambda names: all(
        _HEADER_NAME.fullmatch(name) for name in names
    ),
    "self.all(n, self.exists_one(m, m.lowerAscii() == n.lowerAscii()))": _distinct,
    "self.all(n, !(n.lowerAscii() in ['host', 'connection', 'content-length', 'keep-alive', "
    "'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']) && "
    "!n.lowerAscii().startsWith('x-envoy-') && !n.lowerAscii().startsWith('x-edgerun-'))": _unchangeable(_OF_THE_EDGE),
    "self.all(n, !(n.lowerAscii() in ['host', 'connection', 'content-length', 'keep-alive', "
    "'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade']))": _unchangeable(()),
    "size(self.metadata.name) <= 40 && !self.metadata.name.contains('.')": lambda proxy: (
        len(proxy["metadata"]["name"]) <= 40 and "." not in proxy["metadata"]["name"]
    ),
    "!has(self.autoscaling) || !has(self.replicas)": lambda spec: "autoscaling" not in spec or "replicas" not in spec,
    "self.minReplicas <= self.maxReplicas": lambda bounds: bounds["minReplicas"] <= bounds["maxReplicas"],
    "!has(self.maxScale) || self.minScale <= self.maxScale": _not_above("minScale", "maxScale"),
    "!has(self.maxScale) || self.initialScale <= self.maxScale": _not_above("initialScale", "maxScale"),
    "!has(self.activationScale) || self.minScale <= self.activationScale": _not_above("minScale", "activationScale"),
    "!has(self.maxScale) || !has(self.activationScale) || self.activationScale <= self.maxScale": (
        _not_above("activationScale", "maxScale")
    ),
    "duration(self) >= duration('6s') && duration(self) <= duration('1h')": lambda text: 6 <= seconds(text) <= 3600,
    "duration(self) <= duration('1h')": lambda text: seconds(text) <= 3600,
    "duration(self) <= duration('168h')": lambda text: seconds(text) <= 168 * 3600,
    "!has(self.spec.template.metadata) || !has(self.spec.template.metadata.name) || "
    "self.spec.template.metadata.name.startsWith(self.metadata.name + '-')": _names_its_service,
    "size(self) == 0 || self.map(t, has(t.percent) ? t.percent : 0).sum() == 100": lambda targets: (
        not targets or _total(targets) == 100
    ),
    "self.all(t, !has(t.tag) || self.exists_one(u, has(u.tag) && u.tag == t.tag))": lambda targets: (
        not _tags_twice(targets)
    ),
    "!has(self.revisionName) || !has(self.latestRevision) || !self.latestRevision": lambda target: (
        "revisionName" not in target or not target.get("latestRevision")
    ),
    "has(self.revisionName) || !has(self.latestRevision) || self.latestRevision": lambda target: (
        "revisionName" in target or target.get("latestRevision", True)
    ),
    # As a `minimum` an API server would compare a whole number with 0.
    "self >= 0.01": lambda target: target >= 0.01,
    "self > 1.0": lambda rate: rate > 1,
    "size(self.metadata.name) <= 63 && !self.metadata.name.contains('.')": lambda service: (
        len(service["metadata"]["name"]) <= 63 and "." not in service["metadata"]["name"]
    ),
    "self.all(k, k.matches('^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))": (
        lambda keys: all(_LABEL_KEY.fullmatch(key) for key in keys)
    ),
    "self.all(k, !(k in ['app.kubernetes.io/managed-by', 'app.kubernetes.io/name', 'app.kubernetes.io/instance']) && "
    "!k.startsWith('edgerun.dev/'))": lambda labels: (
        not any(key in _OUR_LABELS or key.startswith(_OUR_PREFIX) for key in labels)
    ),
    "self.all(k, !k.startsWith('edgerun.dev/'))": lambda annotations: (
        not any(key.startswith(_OUR_PREFIX) for key in annotations)
    ),
    "self.guard == 'Enabled' || !has(self.access) || !has(self.access.invokers)": lambda spec: (
        spec["guard"] == "Enabled" or "invokers" not in spec.get("access", {})
    ),
    "self.guard == 'Enabled' || self.template.spec.containerConcurrency == 0": lambda spec: (
        spec["guard"] == "Enabled" or spec["template"]["spec"]["containerConcurrency"] == 0
    ),
    "self != 'edgerun-guard'": lambda name: name != GUARD_CONTAINER,
    "!(self in [18443, 18444])": lambda port: port not in (GUARD_PORT, GUARD_PROBES_PORT),
    "!self.startsWith('edgerun-')": lambda volume: not volume.startswith(RESERVED_VOLUME_PREFIX),
    "has(self.image) || has(self.command)": lambda container: "image" in container or "command" in container,
    "!has(self.initContainers) || self.initContainers.all(i, !self.containers.exists(c, c.name == i.name))": (
        _names_of_their_own
    ),
    "size(self) == 0 || !has(self[0].ports) || size(self[0].ports) == 0 || self[0].ports[0].protocol == 'TCP'": (
        _first_port_is_tcp
    ),
    "size(self) == 0 || !has(self[0].readinessProbe) || !has(self[0].readinessProbe.httpGet) || "
    "!has(self[0].readinessProbe.httpGet.port) || "
    "(has(self[0].ports) && size(self[0].ports) > 0 ? "
    "self[0].ports.exists(p, p.containerPort == self[0].readinessProbe.httpGet.port || "
    "(has(p.name) && p.name == self[0].readinessProbe.httpGet.port)) : "
    "self[0].readinessProbe.httpGet.port == 8080)": _probed_port("httpGet"),
    "size(self) == 0 || !has(self[0].readinessProbe) || !has(self[0].readinessProbe.tcpSocket) || "
    "!has(self[0].readinessProbe.tcpSocket.port) || "
    "(has(self[0].ports) && size(self[0].ports) > 0 ? "
    "self[0].ports.exists(p, p.containerPort == self[0].readinessProbe.tcpSocket.port || "
    "(has(p.name) && p.name == self[0].readinessProbe.tcpSocket.port)) : "
    "self[0].readinessProbe.tcpSocket.port == 8080)": _probed_port("tcpSocket"),
    "has(self.subject) != (has(self.namespace) || has(self.serviceAccountName))": lambda invoker: (
        ("subject" in invoker) != ("namespace" in invoker or "serviceAccountName" in invoker)
    ),
    "size(self) == 0 || self[0] != ''": lambda command: command[:1] != [""],
    "!(self.name in ['PORT', 'K_SERVICE', 'K_REVISION', 'K_CONFIGURATION'])": lambda variable: (
        variable["name"] not in _RESERVED_ENV
    ),
    "!has(self.valueFrom) || !has(self.value) || self.value == ''": lambda variable: (
        "valueFrom" not in variable or not variable.get("value")
    ),
    "[has(self.exec), has(self.grpc), has(self.httpGet), has(self.tcpSocket)].filter(given, given).size() <= 1": (
        lambda probe: len({"exec", "grpc", "httpGet", "tcpSocket"} & probe.keys()) <= 1
    ),
}
WORDS: Mapping[str, Words] = {
    '\'"%s" must have prefix "%s-"; leave the name away, and it is made\''
    ".format([self.spec.template.metadata.name, self.metadata.name])": lambda service: (
        f'"{service["spec"]["template"]["metadata"]["name"]}" must have prefix "{service["metadata"]["name"]}-"; '
        "leave the name away, and it is made"
    ),
    "'traffic targets sum to %d, want 100'.format([self.map(t, has(t.percent) ? t.percent : 0).sum()])": (
        lambda targets: f"traffic targets sum to {_total(targets)}, want 100"
    ),
    "'multiple definitions for \"%s\"; give each target a tag of its own'"
    ".format([self.filter(t, has(t.tag) && !self.exists_one(u, has(u.tag) && u.tag == t.tag))[0].tag])": (
        lambda targets: f'multiple definitions for "{_tags_twice(targets)[0]}"; give each target a tag of its own'
    ),
    "'may not set revisionName \"%s\" when latestRevision is true'.format([self.revisionName])": lambda target: (
        f'may not set revisionName "{target["revisionName"]}" when latestRevision is true'
    ),
}
