"""The web remote over real HTTP: picture, twin, keys, cards, and whom it does not serve."""

from __future__ import annotations

import http.client
import io
import json
import logging
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pygame
import pytest

from cardreader.reader import OwnCard
from stb_app.shell.keys import KEYS
from stb_app.shell.loop import Loop
from stb_app.shell.web_guard import refusal
from stb_app.shell.web_remote import Bridge, WebRemote
from stb_app.shell.window import OffScreen
from tests.stb_app.shell.dummies import DummySlot, Television

DEADLINE_S = 5.0


class Remote:
    """A television with its loop on a thread, and a client of its web remote."""

    def __init__(self, font: Path | None = None) -> None:
        self.screen = OffScreen((64, 36))
        self.tv = Television(post=self.screen.post)
        self.tv.stage.surface = self.screen.surface
        self.tv.stage.show(self.tv.stage.picture, 0.0)
        self.app = self.tv.app
        self.slot = self.app.slot = DummySlot()
        self.app.slot_known.set()
        loop = Loop(self.app, self.screen, self.screen)
        self.remote = WebRemote(Bridge(loop, self.screen, lambda: self.screen.surface), "127.0.0.1", 0, font)
        self.thread = threading.Thread(target=loop.run)
        self.thread.start()

    def close(self) -> None:
        self.remote.close()
        self.screen.post(self.app.switch_off)
        self.thread.join(DEADLINE_S)
        assert not self.thread.is_alive()
        self.screen.close()

    def ask(
        self, method: str, path: str, body: object = None, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection(self.remote.url.split("/")[2], timeout=DEADLINE_S)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else None
        connection.request(
            method, path, raw, {name.replace("_", "-"): value for name, value in headers.items()}
        )
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        return answer.status, answer.headers, content

    def json(self, path: str = "/screen.json") -> dict[str, Any]:
        status, _, content = self.ask("GET", path)
        assert status == 200
        value: dict[str, Any] = json.loads(content)
        return value

    def post(self, path: str, body: object = None, **headers: str) -> tuple[int, dict[str, Any]]:
        status, _, content = self.ask("POST", path, body, **headers)
        return status, json.loads(content) if content else {}


def test_a_browser_without_chinese_letters_gets_the_televisions(tmp_path: Path) -> None:
    font = tmp_path / "font.ttf"
    font.write_bytes(b"letters")
    remote = Remote(font)
    try:
        status, headers, content = remote.ask("GET", "/font.ttf")
        assert (status, headers["Content-Type"], content) == (200, "font/ttf", b"letters")
        assert "max-age" in headers["Cache-Control"]
        assert b"url(/font.ttf)" in remote.ask("GET", "/")[2]
    finally:
        remote.close()


@pytest.fixture
def remote() -> Iterator[Remote]:
    remote = Remote()
    yield remote
    remote.close()


def test_screen_json_says_what_is_to_be_seen(remote: Remote) -> None:
    screen = remote.json()
    assert set(screen) == {
        "screen", "focus", "focusables", "texts", "busy", "language", "test_mode", "state", "version"
    }  # fmt: skip
    assert (screen["screen"], screen["focus"], screen["busy"]) == ("home", "services", False)
    assert screen["focusables"][1] == {
        "key": "records", "text": "records", "enabled": True, "rect": [96, 144, 400, 84]
    }  # fmt: skip
    assert "settings" in screen["texts"]


def test_a_key_is_handled_and_drawn_before_the_answer(remote: Remote) -> None:
    before = remote.json()["version"]
    status, headers, content = remote.ask("POST", "/keys/KEY_DOWN")
    assert (status, content, headers["Key-Used"]) == (204, b"", "1")
    after = remote.json()
    assert after["focus"] == "records"
    assert after["version"] > before
    assert int(headers["Screen-Version"]) == after["version"]


def test_an_unknown_key_gets_the_list(remote: Remote) -> None:
    status, answer = remote.post("/keys/KEY_TURBO")
    assert (status, answer["keys"]) == (404, list(KEYS))
    status, answer = remote.post("/keys/KEY_OK?state=sideways")
    assert (status, "press" in answer["error"]) == (400, True)


def test_a_key_can_be_held_and_released(remote: Remote) -> None:
    remote.post("/keys/KEY_DOWN?state=down")
    remote.tv.hand.seconds += 0.41
    assert remote.json()["focus"] == "settings"
    remote.post("/keys/KEY_DOWN?state=up")
    remote.tv.hand.seconds += 5
    remote.post("/keys/KEY_UP")
    assert remote.json()["focus"] == "records"


def test_a_double_ok_is_answered_and_not_used(remote: Remote) -> None:
    assert remote.ask("POST", "/keys/KEY_OK")[1]["Key-Used"] == "1"
    assert remote.ask("POST", "/keys/KEY_OK")[1]["Key-Used"] == "0"


def test_a_long_poll_waits_for_the_next_version(remote: Remote) -> None:
    version = remote.json()["version"]
    got: list[dict[str, Any]] = []
    poll = threading.Thread(target=lambda: got.append(remote.json(f"/screen.json?after={version}&wait=5")))
    poll.start()
    remote.post("/keys/KEY_DOWN")
    poll.join(DEADLINE_S)
    assert got[0]["version"] > version
    assert remote.json(f"/screen.json?after={version}&wait=5")["focus"] == "records"
    assert remote.json(f"/screen.json?after={got[0]['version']}&wait=0")["version"] == got[0]["version"]


def test_the_picture_is_the_one_that_the_json_describes(remote: Remote) -> None:
    remote.post("/keys/KEY_DOWN")
    screen = remote.json()
    status, headers, content = remote.ask("GET", "/screen.png")
    assert (status, headers["Content-Type"]) == (200, "image/png")
    assert int(headers["Screen-Version"]) == screen["version"]
    picture = pygame.image.load(io.BytesIO(content), "screen.png")
    shade = sum(map(ord, "records")) % 200 + 20
    assert picture.get_size() == (64, 36)
    assert picture.get_at((5, 5))[:3] == (shade, shade, shade)
    assert remote.ask("GET", "/screen.png", If_None_Match=headers["ETag"])[0] == 304
    remote.post("/keys/KEY_UP")
    assert remote.ask("GET", "/screen.png", If_None_Match=headers["ETag"])[0] == 200


def test_a_picture_in_motion_is_waited_for(remote: Remote) -> None:
    remote.tv.stage.wake = 0.001
    got: list[int] = []
    ask = threading.Thread(target=lambda: got.append(remote.ask("GET", "/screen.png")[0]))
    ask.start()
    ask.join(DEADLINE_S)
    assert got == [200]


def test_the_page_is_one_file_that_loads_nothing_from_elsewhere(remote: Remote) -> None:
    status, headers, content = remote.ask("GET", "/")
    page = content.decode()
    assert status == 200
    assert headers["X-Frame-Options"] == "DENY"
    assert "http://" not in page
    assert "https://" not in page
    for key in KEYS:
        assert key in page or key in {f"KEY_{digit}" for digit in range(10)}


def test_the_clock_can_be_stopped_at_an_instant(remote: Remote) -> None:
    status, _ = remote.post("/clock/freeze", {"at": "2026-11-21T08:15:00+08:00"})
    assert status == 204
    assert remote.app.clock.frozen
    assert remote.tv.stage.picture.top.clock == "08:15"
    assert remote.post("/clock/thaw") == (204, {})
    assert not remote.app.clock.frozen
    for at in ("yesterday", "2026-11-21T08:15:00", 5):
        status, answer = remote.post("/clock/freeze", {"at": at})
        assert (status, "at" in answer["error"]) == (400, True)


def test_faults_are_ordered(remote: Remote) -> None:
    assert remote.json("/card")["happened"] == [{"command": 4, "fault": "lose@8054"}]
    assert remote.post("/card/faults", {"faults": ["pull@80AE", "mac@3"]})[0] == 204
    assert remote.json("/card")["faults"] == ["pull@80AE", "mac@3"]
    status, answer = remote.post("/card/faults", {"faults": ["pull@80AE", "explode"]})
    assert (status, "explode" in answer["error"]) == (422, True)
    assert remote.json("/card")["faults"] == ["pull@80AE", "mac@3"], "as they were"
    for wrong in ({}, {"faults": "pull@80AE"}, {"faults": [1]}):
        assert remote.post("/card/faults", wrong)[0] == 400
    assert remote.post("/card/faults", {"faults": []})[0] == 204
    assert remote.json("/card")["faults"] == []


def test_cards_go_in_and_out(remote: Remote) -> None:
    assert remote.post("/card/insert/good")[0] == 204
    assert remote.slot.profile == "good"
    assert remote.json("/card")["profile"] == "good"
    assert remote.post("/card/pull")[0] == 204
    assert remote.slot.profile is None
    assert remote.post("/card/pull?when=after-debit")[0] == 204
    assert remote.slot.pull_when == "after-debit"
    assert remote.post("/card/pull?when=never")[0] == 400
    status, answer = remote.post("/card/insert/golden")
    assert (status, "good" in answer["profiles"]) == (404, True)
    remote.slot.own = (OwnCard("my card.toml", "a card"),)
    assert remote.json("/card")["profiles"][-1] == "my card.toml"
    assert remote.post("/card/insert/my%20card.toml")[0] == 204
    remote.slot.damaged = {"good"}
    assert remote.post("/card/insert/good")[0] == 409
    remote.slot.insert = pytest.fail  # no other file of this machine
    assert remote.post("/card/insert/mine.toml")[0] == 404


def test_without_a_simulated_slot_cards_are_refused_in_words(remote: Remote) -> None:
    remote.app.slot = None
    assert remote.json("/card")["slot"] is False
    status, answer = remote.post("/card/insert/good")
    assert (status, "slot" in answer["error"]) == (409, True)


def test_a_card_may_come_before_the_slot_is_there(remote: Remote) -> None:
    remote.app.slot_known.clear()
    remote.app.slot = None
    got: list[int] = []
    insert = threading.Thread(target=lambda: got.append(remote.post("/card/insert/good")[0]))
    insert.start()
    remote.json()
    remote.app.slot = remote.slot
    remote.app.slot_known.set()
    insert.join(DEADLINE_S)
    assert got == [204]
    assert remote.slot.profile == "good"


def test_settings_can_be_changed(remote: Remote) -> None:
    assert remote.post("/settings", {"language": "en", "text_scale": 150})[0] == 204
    assert remote.json()["language"] == "en"
    assert remote.tv.stage.scale == 1.5
    status, answer = remote.post("/settings", {"text_scale": 200})
    assert (status, "100, 125, 150" in answer["error"]) == (422, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/nowhere", None, 404),
        ("GET", "/keys/KEY_OK", None, 405),
        ("POST", "/screen.json", None, 405),
        ("POST", "/settings", b"[1]", 400),
        ("POST", "/settings", b"[" * 60_000, 400),
        ("POST", "/settings", b"\xff", 400),
        ("POST", "/settings", b"x" * 70_000, 413),
        ("GET", "/screen.json?after=x", None, 400),
        ("GET", "/screen.json?after=nan", None, 400),
        ("DELETE", "/screen.json", None, 405),
        ("PUT", "/settings", {"language": "en"}, 405),
        ("PATCH", "/keys/KEY_OK", None, 405),
        ("OPTIONS", "/card/insert/good", None, 405),
        ("DELETE", "/nowhere", None, 404),
        ("BREW", "/screen.json", None, 501),
    ],
)
def test_what_cannot_be_served_says_why(
    remote: Remote, method: str, path: str, body: Any, status: int
) -> None:
    got, headers, content = remote.ask(method, path, body)
    assert got == status
    assert headers["Content-Type"] == "application/json"
    assert json.loads(content)["error"]
    assert (headers["Allow"] is not None) == (status == 405)


def test_a_wrong_method_is_told_the_right_ones(remote: Remote) -> None:
    assert remote.ask("DELETE", "/screen.json")[1]["Allow"] == "GET, HEAD"
    for path in ("/settings", "/keys/KEY_OK", "/card/insert/good"):
        assert remote.ask("PUT", path)[1]["Allow"] == "POST"


def test_head_is_get_without_the_body(remote: Remote) -> None:
    status, headers, content = remote.ask("HEAD", "/card")
    assert (status, content) == (200, b"")
    assert int(headers["Content-Length"]) == len(remote.ask("GET", "/card")[2])


@pytest.mark.parametrize(
    ("headers", "served"),
    [
        ({}, True),
        ({"Origin": "http://{host}"}, True),
        ({"Origin": "http://evil.example"}, False),
        ({"Origin": "null"}, False),
        ({"Sec_Fetch_Site": "cross-site"}, False),
        ({"Sec_Fetch_Site": "same-origin"}, True),
        ({"Host": "evil.example:8790"}, False),
        ({"Host": "localhost:8790"}, True),
    ],
)
def test_other_web_sites_cannot_press_keys(remote: Remote, headers: dict[str, str], served: bool) -> None:
    host = remote.remote.url.split("/")[2]
    given = {name: value.format(host=host) for name, value in headers.items()}
    status, answer = remote.post("/keys/KEY_DOWN", **given)
    assert status == (204 if served else 403)
    assert remote.json()["focus"] == ("records" if served else "services")
    assert served or answer["error"]


def test_a_rebound_name_may_not_even_look() -> None:
    assert refusal("GET", {"Host": "evil.example"}, "127.0.0.1")
    assert refusal("GET", {}, "127.0.0.1")
    assert refusal("GET", {"Host": "[::1"}, "127.0.0.1")
    assert refusal("GET", {"Host": "box.lan:8790"}, "box.lan") is None
    assert refusal("GET", {"Host": "192.168.1.7:8790"}, "0.0.0.0") is None


def test_digits_are_in_no_log(remote: Remote, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for digit in "918273":
        assert remote.post(f"/keys/KEY_{digit}")[0] == 204
    assert remote.post("/keys/KEY_9?state=wrong")[0] == 400
    assert "KEY_" not in caplog.text


def test_a_second_remote_on_the_same_port_is_refused(remote: Remote) -> None:
    port = int(remote.remote.url.rsplit(":", 1)[1].rstrip("/"))
    with pytest.raises(OSError, match="in use"):
        WebRemote(
            Bridge(
                Loop(remote.app, remote.screen, remote.screen), remote.screen, lambda: remote.screen.surface
            ),
            "127.0.0.1",
            port,
        )
