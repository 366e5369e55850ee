"""Errors of ours, as a tree. A user's mistake in an object is never one of them: that is a `Problem`, a value.

EdgerunError
├── SettingsError          what the command line or the environment asks for cannot be
│   └── NoClusterError     nothing says where a cluster is
├── AddressInUseError      somebody else listens where the edge should
├── EnvoyMissingError      the Envoy binary or its protobufs are not installed as they should be
├── RuntimeDirectoryError  there is no place for sockets that only the user can enter
├── NotRunningError        there is no instance to ask
└── ApiError               the API server did not do what it was asked
    ├── ConflictError      the object is there already, or is not the version or the one that was meant
    ├── ForbiddenError     this identity may not, or admission refuses it: the text says which
    ├── InvalidError       the object cannot be stored as it is
    ├── NotFoundError      there is no such object, or no such kind
    └── UnavailableError   no answer, or none yet: the same again later may succeed
"""


class EdgerunError(Exception):
    """Its message is for the user, complete with the way out; it is shown without a traceback."""


class SettingsError(EdgerunError):
    """What the command line or the environment asks for cannot be."""


class NoClusterError(SettingsError):
    """Nothing says where a cluster is."""


class AddressInUseError(EdgerunError):
    """Somebody else listens where the edge should."""


class EnvoyMissingError(EdgerunError):
    """The Envoy binary or its protobufs are not installed as they should be."""


class RuntimeDirectoryError(EdgerunError):
    """There is no place for an instance's sockets that only its user can enter."""


class NotRunningError(EdgerunError):
    """There is no instance to ask."""


class ApiError(EdgerunError):
    """The API server did not do what it was asked. `status` is that of HTTP, 0 when there was no answer."""

    def __init__(self, message: str, *, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class ConflictError(ApiError):
    """The object is there already, or is not the version or the one that was meant."""


class ForbiddenError(ApiError):
    """This identity may not do it, or is not known (401), or admission refuses it: the text says which."""


class InvalidError(ApiError):
    """The object cannot be stored as it is."""


class NotFoundError(ApiError):
    """There is no such object, or no such kind."""


class UnavailableError(ApiError):
    """No answer, or none yet: the same again later may succeed. `retry_after_s` is the server's wish, 0 for none."""

    def __init__(self, message: str, *, status: int = 0, retry_after_s: float = 0.0) -> None:
        super().__init__(message, status=status)
        self.retry_after_s = retry_after_s
