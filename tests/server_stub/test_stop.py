"""A stop in order, of real processes under load: whoever asks is answered, or asks again and is."""

from __future__ import annotations

import shutil
import signal
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.server_stub.signing import RemoteBox
from tests.server_stub.system import databases, first_start
from tests.server_stub.test_process import started

BOXES = ("85312047", "85312048", "85312051")


def options(data: Path) -> tuple[str, ...]:
    url = databases.of(data)
    return ("--database", url) if url else ()


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"], indirect=True)
def test_under_load_nobody_is_left_without_an_answer_or_one_to_the_same_question(
    tmp_path: Path, kind: str
) -> None:
    data = tmp_path / "data"
    shutil.copytree(first_start().name, data)
    kept: dict[str, list[tuple[str, Any]]] = {number: [] for number in BOXES}
    broken: dict[str, tuple[str, str]] = {}
    busy = threading.Barrier(len(BOXES) + 1)
    with started(data, *options(data)) as (process, address):
        boxes = {number: RemoteBox(address, number) for number in BOXES}
        for box in boxes.values():
            box.enrol()

        def ask(number: str) -> None:
            for turn in range(10_000):
                key = f"{number}-order-{turn:05d}"
                try:
                    answer = boxes[number].send(
                        "POST", "/orders", {"service": "kids", "term": "monthly"}, key=key
                    )
                except httpx.TransportError:
                    broken[number] = (key, "/orders")
                    return
                if (
                    answer.status_code == 503
                ):  # it could not ask BOSS any more, and says that it may be asked again
                    assert answer.json()["retryable"]
                    broken[number] = (key, "/orders")
                    return
                assert answer.status_code == 201, answer.text
                kept[number].append((key, answer.text))
                if turn == 2:
                    busy.wait(60)

        threads = [threading.Thread(target=ask, args=(number,)) for number in BOXES]
        for thread in threads:
            thread.start()
        busy.wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        for thread in threads:
            thread.join(30)
    assert set(broken) == set(BOXES)
    with started(data, *options(data)) as (_, address):
        for number, box in boxes.items():
            again = box.at(address)
            body = {"service": "kids", "term": "monthly"}
            for key, text in kept[number][-2:]:
                assert again.send("POST", "/orders", body, key=key).text == text
            key, path = broken[number]
            first = again.send("POST", path, body, key=key)
            assert first.status_code == 201
            assert again.send("POST", path, body, key=key).text == first.text


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with started(tmp_path, "boss", "tsp", "sandbox") as (process, address):
        assert httpx.get(f"{address}/readyz").status_code == 200
        process.send_signal(signal.SIGSTOP)  # both arrive before it can do anything
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
        assert process.wait(10) in (128 + signal.SIGTERM, 128 + signal.SIGINT)
