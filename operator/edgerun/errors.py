"""Errors of ours, as a tree. A user's mistake in an object is never one of them: that is a `Problem`, a value.

EdgerunError
├── SettingsError          what the command line or the environment asks for cannot be
├── AddressInUseError      somebody else listens where the edge should
├── EnvoyMissingError      the Envoy binary or its protobufs are not installed as they should be
├── RuntimeDirectoryError  there is no place for sockets that only the user can enter
└── NotRunningError        there is no instance to ask
"""


class EdgerunError(Exception):
    """Its message is for the user, complete with the way out; it is shown without a traceback."""


class SettingsError(EdgerunError):
    """What the command line or the environment asks for cannot be."""


class AddressInUseError(EdgerunError):
    """Somebody else listens where the edge should."""


class EnvoyMissingError(EdgerunError):
    """The Envoy binary or its protobufs are not installed as they should be."""


class RuntimeDirectoryError(EdgerunError):
    """There is no place for an instance's sockets that only its user can enter."""


class NotRunningError(EdgerunError):
    """There is no instance to ask."""
