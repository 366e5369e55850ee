"""Asks a guard itself, around the edge, as any pod of a cluster could try to. Standard library only: it comes to a pod
as a ConfigMap.

It reads one order (JSON) from stdin: `host`, `port`, `headers`, `pem` (a certificate and its key, or "" to show none),
and `pause_s` and `for_s` to ask again and again. Each request is a line of JSON: `at`, in seconds since the epoch, and
`status`, or `error` when there was no answer.
Trap: in TLS 1.3 a server says what it thinks of a client's certificate after the handshake, and what is sent to it then
may undo that. So it is listened to for a moment first.
"""

import http.client
import json
import ssl
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

TIMEOUT_S, MOMENT_S = 60, 0.3


def main() -> None:
    order = json.load(sys.stdin)
    connection = http.client.HTTPSConnection(
        order["host"], order["port"], context=_context(order["pem"]), timeout=TIMEOUT_S
    )
    ends = time.monotonic() + order["for_s"]
    while True:
        print(json.dumps({"at": time.time(), **_asked(connection, order["headers"])}), flush=True)
        if time.monotonic() >= ends:
            return
        time.sleep(order["pause_s"])


def _context(pem: str) -> ssl.SSLContext:
    """Believes everybody: whom the guard believes is what is asked."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    if pem:
        with TemporaryDirectory() as folder:
            file = Path(folder, "shown.pem")
            file.write_text(pem)
            made.load_cert_chain(file)
    return made


def _asked(connection: http.client.HTTPSConnection, headers: dict[str, str]) -> dict[str, Any]:
    try:
        if connection.sock is None:
            _connected(connection)
        connection.request("GET", "/", headers=headers)
        answer = connection.getresponse()
        answer.read()
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        return {"error": f"{type(error).__name__}: {error}"}
    return {"status": answer.status}


def _connected(connection: http.client.HTTPSConnection) -> None:
    """Raises ssl.SSLError, with the server's words, when it is not content."""
    connection.connect()
    connection.sock.settimeout(MOMENT_S)
    try:
        assert not connection.sock.recv(1), "a server does not speak first"
    except TimeoutError:
        connection.sock.settimeout(TIMEOUT_S)
    else:
        raise ConnectionResetError("closed without a word")


if __name__ == "__main__":
    main()
