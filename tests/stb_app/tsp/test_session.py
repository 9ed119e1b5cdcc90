"""An answer that has no end is given up, in time and in size; real sockets."""

from __future__ import annotations

import itertools
import re
import socket
import threading
from collections.abc import Iterator

import pytest

from stb_app.tsp import session
from stb_app.tsp.client import ANSWER_S, CONNECT_S, TspClient
from stb_app.tsp.problem import Problem

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 100000000\r\n"
WAYS = {
    "body": (HEAD + b"\r\n", b" " * 1000),
    "chunks": (
        HEAD.replace(b"Content-Length: 100000000", b"Transfer-Encoding: chunked") + b"\r\n",
        b"1\r\n \r\n",
    ),
    "head": (HEAD, b"a"),
}


@pytest.fixture(params=sorted(WAYS))
def endless(request: pytest.FixtureRequest) -> Iterator[str]:
    """Somebody who goes on answering until the caller hangs up."""
    begin, more = WAYS[request.param]

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            try:
                connection.sendall(begin)
                while True:
                    connection.sendall(more)
            except OSError:
                return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        thread.join(10)
        assert not thread.is_alive(), "the connection was left open"


def test_an_answer_that_does_not_come_to_its_end_is_given_up_in_time(
    endless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = itertools.count(step=1.0)
    monkeypatch.setattr(session.time, "monotonic", lambda: next(looks))
    with pytest.raises(Problem) as caught:
        TspClient(endless).hello()
    assert caught.value.code == "tsp-unreachable"
    assert session.took_too_long(caught.value.__cause__)
    assert next(looks) <= CONNECT_S + ANSWER_S + 10


def test_an_answer_of_any_size_does_not_fill_the_memory(
    endless: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session.time, "monotonic", lambda: 0.0)
    with pytest.raises(Problem) as caught:
        TspClient(endless).hello()
    assert caught.value.code == "tsp-unreachable"
    assert re.search("no end|more than 65536 bytes", str(caught.value.__cause__))


@pytest.mark.parametrize(("times", "reached"), [(1, True), (2, False)])
def test_a_kept_connection_that_was_hung_up_is_no_silence_for_a_question(times: int, reached: bool) -> None:
    """As a web server does with one that nobody has used for a while."""
    hello = b'{"name": "TSP", "version": "1", "api": 1, "test_mode": true, "time": "2026-11-21T10:00:00+08:00", "hotline": "1"}'
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(hello), hello)

    def serve() -> None:
        for turn in range(times + 1):
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                if turn == 0:
                    connection.sendall(whole)
                    connection.recv(65536)  # the next request, which meets its end
                elif turn >= times:
                    connection.sendall(whole)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        client = TspClient(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert client.hello().name == "TSP"
        if reached:
            assert client.hello().name == "TSP"
        else:
            with pytest.raises(Problem) as caught:
                client.hello()
            assert caught.value.code == "tsp-unreachable"
            client.hello()
        thread.join(10)
