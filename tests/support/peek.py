"""What a container shows to whoever looks around in it, as JSON: `seen` is all that must be without a secret, by where
it was found, and `tokens` are those that lie in its volumes.

Run inside the container: `python3 -c "$(cat peek.py)" URL...` asks the URLs, too. Standard library only.
"""

import glob
import http.client
import json
import socket
import sys
import urllib.request
from pathlib import Path

ADMIN = Path("/run/edgerun/admin.sock")
ADMIN_PAGES = ("/config_dump?include_eds", "/clusters", "/listeners", "/server_info", "/stats", "/certs")
TIMEOUT_S = 60


class _Admin(http.client.HTTPConnection):
    """Envoy's admin interface, which is on a socket."""

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(TIMEOUT_S)
        self.sock.connect(str(ADMIN))


def _page(path: str) -> str:
    connection = _Admin("localhost")
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def _told(url: str) -> str:
    with urllib.request.urlopen(url, timeout=TIMEOUT_S) as answer:
        return str(answer.read().decode())


def _processes() -> dict[str, str]:
    """The arguments and the environment of every process."""
    files = [*glob.glob("/proc/[0-9]*/cmdline"), *glob.glob("/proc/[0-9]*/environ")]
    own = f"/proc/{Path('/proc/self').resolve().name}/"
    return {file: Path(file).read_bytes().decode(errors="replace") for file in files if not file.startswith(own)}


def main() -> None:
    admin = {path: _page(path) for path in ADMIN_PAGES} if ADMIN.exists() else {}
    seen = {**_processes(), **admin, **{url: _told(url) for url in sys.argv[1:]}}
    tokens = [Path(file).read_text().strip() for file in glob.glob("/var/run/secrets/**/token", recursive=True)]
    print(json.dumps({"seen": seen, "tokens": tokens}))


if __name__ == "__main__":
    main()
