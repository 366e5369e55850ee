"""How to reach the API server, as a value: the one that asks for it reads no configuration of its own."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Files are paths; "" stands for none. The token is as of now: it has to be asked for again before it expires."""

    server: str
    verify: bool = True
    ca_file: str = ""
    certificate_file: str = ""
    key_file: str = ""
    token: str = field(default="", repr=False)
    proxy: str = ""


Login = Callable[[], Awaitable[Access]]
