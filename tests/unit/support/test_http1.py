"""The response reader: every framing, in every cut of the bytes."""

import pytest

from support.http1 import BadResponseError, ResponseReader

CASES = {
    "content-length": (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200),
    "chunked": (b"HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\n5;x=1\r\nhel\r\n\r\n0\r\n\r\n", 503),
    "no body allowed": (b"HTTP/1.1 204 No Content\r\n\r\n", 204),
    "empty body": (b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n", 404),
    "after an interim answer": (
        b"HTTP/1.1 103 Early\r\nlink: x\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx",
        200,
    ),
}


@pytest.mark.parametrize(("stream", "status"), CASES.values(), ids=CASES.keys())
@pytest.mark.parametrize("step", [1, 2, 7, 1000])
def test_two_answers_in_a_row_are_read_however_the_bytes_are_cut(stream: bytes, status: int, step: int) -> None:
    reader = ResponseReader(head=False)
    seen = []
    for part in (stream, stream):
        for at in range(0, len(part), step):
            reader.feed(part[at : at + step])
            if (taken := reader.take()) is not None:
                seen.append((taken, at + step >= len(part)))
    assert seen == [(status, True)] * 2


def test_an_answer_to_head_has_no_body_whatever_its_length_says() -> None:
    reader = ResponseReader(head=True)
    reader.feed(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n")
    assert reader.take() == 200


def test_a_body_without_framing_lasts_until_the_connection_ends() -> None:
    reader = ResponseReader(head=False)
    reader.feed(b"HTTP/1.1 200 OK\r\n\r\nsome")
    assert reader.take() is None
    assert reader.finishes_at_eof


def test_a_server_that_closes_says_so() -> None:
    reader = ResponseReader(head=False)
    reader.feed(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n")
    assert reader.take() == 200
    assert reader.closing


@pytest.mark.parametrize(
    "stream",
    [
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"x" * 70000,
    ],
    ids=["another protocol", "no status", "no chunk size", "endless head"],
)
def test_nonsense_is_refused(stream: bytes) -> None:
    with pytest.raises(BadResponseError):
        ResponseReader(head=False).feed(stream)
