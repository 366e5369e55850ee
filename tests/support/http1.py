"""Reads HTTP/1.1 responses from a byte stream, one at a time, as fast as plain Python does.

It knows the framing (Content-Length, chunked, until the end of the connection, none) and nothing else; bodies are
counted, not kept. Trap: trailers after the last chunk are not understood.
"""

_HEAD_LIMIT = 65536
_BODILESS = (204, 304)


class BadResponseError(Exception):
    """What came is not a response."""


class ResponseReader:
    """`feed` bytes, then `take` the status of a completed response. `status` and `closing` speak of the latest one."""

    def __init__(self, *, head: bool) -> None:
        self.head = head
        self.buffer = bytearray()
        self.status = 0
        self.closing = False
        self.finishes_at_eof = False
        self._left: int | None = None  # body bytes to come, up to the next chunk size; None before the head is read
        self._chunked = False
        self._done = False

    @property
    def missing(self) -> str:
        return "head" if self._left is None else "end of the body"

    def feed(self, data: bytes) -> None:
        self.buffer += data
        while not self._done and self._advance():
            pass

    def take(self) -> int | None:
        """The status of the response that is complete now, once."""
        if not self._done:
            return None
        self._done = False
        return self.status

    def _advance(self) -> bool:
        if self._left is None:
            return self._read_head()
        if self._chunked:
            return self._read_chunk()
        return self._read_body()

    def _read_head(self) -> bool:
        end = self.buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self.buffer) > _HEAD_LIMIT:
                raise BadResponseError(f"a head of more than {_HEAD_LIMIT} bytes")
            return False
        head = bytes(self.buffer[:end]).lower()
        del self.buffer[: end + 4]
        if head[:7] != b"http/1." or not head[9:12].isdigit():
            raise BadResponseError(f"a status line that reads {head[:40]!r}")
        self.status = int(head[9:12])
        if self.status >= 200:  # 1xx is only a prelude
            self._frame(head)
        return True

    def _frame(self, head: bytes) -> None:
        self.closing = b"\r\nconnection: close" in head
        self._chunked = self.finishes_at_eof = False
        self._left = 0
        if self.head or self.status in _BODILESS:
            return
        if b"\r\ntransfer-encoding: chunked" in head:
            self._chunked = True
        elif (at := head.find(b"\r\ncontent-length:")) >= 0:
            self._left = int(head[at + 17 :].split(b"\r\n", 1)[0])
        else:
            self.finishes_at_eof = self.closing = True

    def _read_body(self) -> bool:
        assert self._left is not None
        if self.finishes_at_eof:
            self.buffer.clear()
            return False
        eaten = min(self._left, len(self.buffer))
        del self.buffer[:eaten]
        self._left -= eaten
        if self._left:
            return False
        self._left, self._done = None, True
        return True

    def _read_chunk(self) -> bool:
        """Reads one chunk: its size line, its bytes, its CRLF."""
        line = self.buffer.find(b"\r\n")
        if line < 0:
            return False
        try:
            size = int(self.buffer[:line].split(b";")[0], 16)
        except ValueError:
            raise BadResponseError(f"a chunk size that reads {bytes(self.buffer[:line])[:40]!r}") from None
        if len(self.buffer) < line + 2 + size + 2:
            return False
        del self.buffer[: line + 2 + size + 2]
        if size == 0:
            self._left, self._done = None, True
        return True
