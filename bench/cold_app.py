"""The program of a cold start: it answers each request with when it began, listened and was asked that.

As little as a program can be, so that it is not what is measured. It is started by a shell, which notes the time at
which the process began; times are those of the machine's clock, in seconds. Trap: a connection that asks nothing is a
probe.
"""

import json
import os
import socket
import time

with socket.create_server(("", int(os.environ["PORT"])), backlog=128) as server:
    moments = {"began": float(os.environ["BEGAN"]), "listened": time.time()}
    while True:
        connection, _ = server.accept()
        with connection:
            connection.settimeout(5)
            asked, asked_at = b"", 0.0
            while b"\r\n\r\n" not in asked and (part := connection.recv(65536)):
                asked_at = asked_at or time.time()
                asked += part
            if asked:
                body = json.dumps({**moments, "asked": asked_at}).encode()
                head = f"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {len(body)}\r\n\r\n"
                connection.sendall(head.encode() + body)
