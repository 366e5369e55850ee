"""What a guard says: to a caller that it refuses, always the same words; to whoever reads its log, why.

An answer names neither the reason nor the origin: whoever tries credentials learns from it nothing that they did not
send. The reason is in `details` of the log, with the subject once the signature is proven, and never a token.

Trap: a local reply is told from the app's own answer by its details. The app may say 401 itself, and keeps its words.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2

from .guard_policy import JWT_FILTER, UNCONFIGURED
from .messages import packed

UNAUTHENTICATED = "A credential is needed to call this origin, and there is no valid one in this request.\n"
FORBIDDEN = "This caller may not call this origin.\n"
BUSY = "This origin is at the limit of its concurrency, and so is the queue before it.\n"
NOT_READY = "This origin cannot tell yet who may call it.\n"
RETRY_AFTER_S = 1

_RBAC = "rbac_access_denied_matched_policy"
_CLAIMS = f"DYNAMIC_METADATA({JWT_FILTER}:payload:"
_TOKEN_HEADER = f"DYNAMIC_METADATA({JWT_FILTER}:header:"

LOG_FIELDS: Mapping[str, str] = {
    "time": "%START_TIME%",
    "request_id": "%REQ(X-REQUEST-ID)%",
    "peer": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT%",
    "caller": f"%{_CLAIMS}sub)%",
    "credential": f"%{_CLAIMS}jti)%",
    "key": f"%{_TOKEN_HEADER}kid)%",
    "method": "%REQ(:METHOD)%",
    "authority": "%REQ(:AUTHORITY)%",
    "path": "%PATH(NQ:PATH)%",
    "protocol": "%PROTOCOL%",
    "status": "%RESPONSE_CODE%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "flags": "%RESPONSE_FLAGS%",
    "duration_ms": "%DURATION%",
    "bytes_received": "%BYTES_RECEIVED%",
    "bytes_sent": "%BYTES_SENT%",
}


def access_log() -> Any:
    stdout = stream_pb2.StdoutAccessLog(log_format={"json_format": LOG_FIELDS})
    return accesslog_pb2.AccessLog(name="envoy.access_loggers.stdout", typed_config=packed(stdout))


def answers() -> Mapping[str, Any]:
    """The `local_reply_config` of a guard; the first that fits is given."""
    wrong = _challenge("invalid_token")
    return {
        "mappers": [
            _answer(_details_are(f"{_RBAC}[{UNCONFIGURED}]"), HTTPStatus.SERVICE_UNAVAILABLE, NOT_READY, _later()),
            _answer(_details_are(f"{_RBAC}[none]"), HTTPStatus.FORBIDDEN, FORBIDDEN, _challenge("insufficient_scope")),
            _answer(_details_begin(_RBAC), HTTPStatus.UNAUTHORIZED, UNAUTHENTICATED, wrong),
            _answer(_details_begin("jwt_authn_access_denied"), HTTPStatus.UNAUTHORIZED, UNAUTHENTICATED, wrong),
            _answer(_FULL, HTTPStatus.SERVICE_UNAVAILABLE, BUSY, _later()),
        ]
    }


def _answer(which: Mapping[str, Any], status: int, body: str, header: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "filter": which,
        "status_code": {"value": status},
        "body": {"inline_string": body},
        "headers_to_add": [header],
    }


_FULL: Mapping[str, Any] = {"response_flag_filter": {"flags": ["UO"]}}


def _details_are(text: str) -> Mapping[str, Any]:
    return _cel(f"response.code_details == '{text}'")


def _details_begin(text: str) -> Mapping[str, Any]:
    return _cel(f"response.code_details.startsWith('{text}')")


def _cel(expression: str) -> Mapping[str, Any]:
    config = packed(cel_pb2.ExpressionFilter(expression=expression))
    return {"extension_filter": {"name": "envoy.access_loggers.extension_filters.cel", "typed_config": config}}


def _challenge(error: str) -> Mapping[str, Any]:
    return _header("www-authenticate", f'Bearer error="{error}"')  # Envoy's own repeats the request's Host


def _later() -> Mapping[str, Any]:
    return _header("retry-after", str(RETRY_AFTER_S))


def _header(name: str, value: str) -> Mapping[str, Any]:
    return {"header": {"key": name, "value": value}, "append_action": "OVERWRITE_IF_EXISTS_OR_ADD"}
