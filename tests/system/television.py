"""A television in a process of its own, driven as testers drive it: keys and screen.json over the web remote."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

ADDRESS = re.compile(r"http://127\.0\.0\.1:\d+")
SIZE = "960x540"
"""Of the picture where nobody looks at it: a quarter of the points to draw."""
START_S = 30.0
Screen = dict[str, Any]


class Television:
    """``stb-app run --demo`` with its own data folder; a context manager.

    Args:
        data: the folder; give the same again for "switched off and on".
        options: more command-line options.
        environment: changes to the environment, e.g. DISPLAY.
        headless: draw off-screen.
    """

    def __init__(
        self,
        data: Path,
        *options: str,
        environment: Mapping[str, str] | None = None,
        headless: bool = True,
        demo: bool = True,
    ) -> None:
        self.data = data
        command = [sys.executable, "-m", "stb_app", "run", "--data", str(data), "--web-remote", "127.0.0.1:0"]
        command += ["--demo"] * demo + ["--headless"] * headless + ["--size", SIZE, *options]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            # Other tests of this process draw in memory; what they told SDL is not for this television.
            env={k: v for k, v in os.environ.items() if not k.startswith("SDL_")} | dict(environment or {}),
        )
        self._output: list[str] = []
        self._address = threading.Event()
        self.url = ""
        threading.Thread(target=self._read_output, daemon=True).start()
        if not self._address.wait(START_S):
            self.close()
            raise AssertionError(f"the television did not start:\n{''.join(self._output)}")
        self._session = requests.Session()
        self._session.trust_env = False

    def __enter__(self) -> Television:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> str:
        return "".join(self._output)

    def close(self) -> int:
        """Switches it off as a person would (SIGTERM) and returns its exit code."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
                raise AssertionError("the television did not stop within ten seconds of SIGTERM") from None
        return self._process.returncode

    def ended(self) -> int:
        """Waits until it has switched itself off; its exit code."""
        return self._process.wait(10)

    def kill(self) -> None:
        """Pulls the plug."""
        self._process.kill()
        self._process.wait()

    def screen(self, after: int | None = None, wait: float = 0, layout: bool = False) -> Screen:
        query = f"?after={after}&wait={wait}" if after is not None else "?layout=1" if layout else ""
        answer = self._session.get(f"{self.url}/screen.json{query}", timeout=wait + 10)
        answer.raise_for_status()
        screen: Screen = answer.json()
        return screen

    def picture(self) -> bytes:
        answer = self._session.get(f"{self.url}/screen.png", timeout=10)
        answer.raise_for_status()
        return answer.content

    def post(self, path: str, **body: Any) -> None:
        answer = self._session.post(f"{self.url}{path}", json=body or None, timeout=10)
        assert answer.ok, f"{path}: {answer.status_code} {answer.text}"

    def key(self, name: str) -> bool:
        """Presses one key, without the prefix; whether somebody used it."""
        answer = self._session.post(f"{self.url}/keys/KEY_{name}", timeout=10)
        assert answer.ok, f"{name}: {answer.status_code} {answer.text}"
        return answer.headers["Key-Used"] == "1"

    def press(self, *names: str) -> Screen:
        """Presses keys by their KEY_ names, without the prefix, one after the other; the screen afterwards."""
        for name in names:
            self.post(f"/keys/KEY_{name}")
        return self.screen()

    def wait_for(self, condition: Callable[[Screen], Any] | str, seconds: float = 20) -> Screen:
        """Waits until the screen is the one named, or meets the condition."""
        meets = (lambda s: s["screen"] == condition) if isinstance(condition, str) else condition
        until = time.monotonic() + seconds
        screen = self.screen()
        while not meets(screen):
            left = until - time.monotonic()
            assert left > 0, f"waited {seconds:g} s for {condition}; it shows {screen}\n{self.output}"
            screen = self.screen(after=screen["version"], wait=min(left, 5))
        return screen

    def focus(self, key: str) -> Screen:
        """Moves the focus to a target as a person would: with arrow keys, watching where it goes."""
        screen = self.wait_for(
            lambda s: not s["busy"] and key in {f["key"] for f in s["focusables"] if f["enabled"]}
        )
        for _ in range(40):
            if screen["focus"] == key:
                return screen
            before = screen["focus"]
            screen = self.press(_direction(screen, key))
            if screen["focus"] == before:
                # Nothing lies that way: sideways first, then.
                screen = self.press(_sideways(screen, key))
        raise AssertionError(f"{key} was not reached; focus is {screen['focus']}")

    def choose(self, key: str) -> Screen:
        """Moves there and presses OK."""
        self.focus(key)
        return self.press("OK")

    def type(self, digits: str) -> None:
        self.press(*digits)

    def order(self, service: str = "sports", term: str = "monthly", method: str = "card") -> Screen:
        """From home to the second confirmation, confirmed."""
        self.wait_for("home")
        self.choose("services")
        self.wait_for("services")
        self.choose(f"service:{service}")
        self.wait_for("service")
        self.choose(f"term:{term}")
        self.choose("order")
        self.wait_for("fee")
        self.choose("continue")
        self.wait_for("payment-methods")
        self.choose(method)
        wanted = self.wait_for("confirm")["state"]["card_wanted"]
        return self.choose("card-back" if wanted else "confirm")

    def prompt(self, *words: str, seconds: float = 20) -> Screen:
        """Waits until the card screen asks one of these."""
        return self.wait_for(lambda s: s["screen"] == "card" and s["state"].get("prompt") in words, seconds)

    def _read_output(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._output.append(line)
            if not self.url and "remote" in line.lower() and (found := ADDRESS.search(line)):
                self.url = found.group()
                self._address.set()


def _direction(screen: Screen, key: str) -> str:
    rects = {f["key"]: f["rect"] for f in screen["focusables"]}
    x, y, w, h = rects[screen["focus"]]
    x2, y2, w2, h2 = rects[key]
    dx, dy = (x2 + w2 / 2) - (x + w / 2), (y2 + h2 / 2) - (y + h / 2)
    overlap_y = min(y + h, y2 + h2) - max(y, y2)
    if overlap_y > min(h, h2) / 2:
        return "RIGHT" if dx > 0 else "LEFT"
    return "DOWN" if dy > 0 else "UP"


def _sideways(screen: Screen, key: str) -> str:
    rects = {f["key"]: f["rect"] for f in screen["focusables"]}
    return "RIGHT" if rects[key][0] > rects[screen["focus"]][0] else "LEFT"
