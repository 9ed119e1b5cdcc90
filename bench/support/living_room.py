"""The whole television in a real X window, measured from outside: start, key to picture, rest, memory."""

from __future__ import annotations

import json
import os
import statistics
import tempfile
import time
from datetime import datetime
from pathlib import Path

from bench.support.x11 import Screen
from tests.system.television import Television
from tests.system.xwindow import focus_window, running_xvfb

KEYS = 60
REST_S = 10.0
FIRST_PICTURE = "first picture after"
Figures = dict[str, float]


def figures() -> Figures:
    """Starts it twice with one data folder: once to be installed and started before, once to be measured."""
    with tempfile.TemporaryDirectory() as folder, running_xvfb() as display:
        data = Path(folder)
        _start(data, display).close()
        starts: list[float] = []
        for _ in range(3):
            _start_s(data, display, starts)
        with _start(data, display) as tv:
            focus_window(display, tv.pid)
            tv.wait_for("home")
            walked = {
                "key_to_picture_ms": _key_to_picture_ms(tv, Screen(display)),
                "idle_core_percent": _idle_core_percent(tv),
            }
            _visit_everything(tv)
            return {"start_s": round(statistics.median(starts), 3), **walked, "memory_mb": _memory_mb(tv.pid)}


def _start(data: Path, display: str) -> Television:
    return Television(data, "--reader", "sim:", environment={"DISPLAY": display}, headless=False)


def _start_s(data: Path, display: str, into: list[float]) -> None:
    """From the process's start to the line that its log writes when the first picture is in the window."""
    log = data / "stb-app.log"
    began, size = time.time(), log.stat().st_size
    with _start(data, display):
        lines = log.read_bytes()[size:].decode().splitlines()
        line = next(line for line in lines if FIRST_PICTURE in line)
        into.append(datetime.fromisoformat(json.loads(line)["timestamp"]).timestamp() - began)


def _key_to_picture_ms(tv: Television, screen: Screen) -> float:
    """Median over moves of the focus between two tiles; watched at the border of the one it goes to."""
    rects = {f["key"]: f["rect"] for f in tv.focus("services")["focusables"]}
    took = []
    for turn in range(KEYS):
        name, to = ("Down", "records") if turn % 2 == 0 else ("Up", "services")
        x, y, _, height = rects[to]
        took.append(screen.key_to_picture_s(name, (x - 8, y + height // 2, 16, 2)))
        before = tv.screen()
        assert before["focus"] == to
        _settled(screen, (x - 16, y - 8, 64, 32))
    return round(statistics.median(took) * 1000, 2)


def _settled(screen: Screen, spot: tuple[int, int, int, int]) -> None:
    """Waits until the focus has come to rest: the same picture for 60 ms."""
    last, since = screen.look(*spot), time.perf_counter()
    while time.perf_counter() - since < 0.06:
        now = screen.look(*spot)
        if now != last:
            last, since = now, time.perf_counter()
        time.sleep(0.005)


def _idle_core_percent(tv: Television) -> float:
    tv.wait_for("home")
    time.sleep(1.0)
    before, began = _processor_s(tv.pid), time.perf_counter()
    time.sleep(REST_S)
    return round((_processor_s(tv.pid) - before) / (time.perf_counter() - began) * 100, 3)


def _processor_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _visit_everything(tv: Television) -> None:
    """A purchase and every page of the menu: memory is what a used television needs."""
    for page in ("services", "records", "card-inquiry", "settings"):
        tv.choose(page)
        tv.wait_for(lambda s: s["screen"] != "home")
        tv.press("BACK")
        tv.wait_for("home")
    tv.order(service="kids", term="monthly")
    tv.prompt("insert")
    tv.post("/card/insert/good")
    tv.prompt("enter-pin")
    tv.type("123456")
    tv.press("OK")
    tv.prompt("remove")
    tv.post("/card/pull")
    tv.wait_for("result")
    tv.press("HOME")
    tv.wait_for("home")


def _memory_mb(pid: int) -> float:
    line = next(
        line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS")
    )
    return round(int(line.split()[1]) / 1024, 1)
