"""From home to a paid result in a real X window, with real key events and nothing else. USE-1"""

from __future__ import annotations

import io
import threading
import time
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from screens.result import GUARD_S
from tests.system.television import Television
from tests.system.xwindow import focus_window, photograph, press, running_xvfb

pytestmark = [pytest.mark.xwindow, pytest.mark.xdist_group("xwindow")]

DOUBLE_PRESS_S = 0.35


class Hands(Television):
    """A television whose keys are pressed on the X server's keyboard; the web remote only tells what is to be seen."""

    display = ""
    _last_ok = 0.0

    def press(self, *names: str) -> dict[str, object]:
        for name in names:
            before = self.screen()["version"]
            self._ok_counts(name)
            press(self.display, name)
            # The key is on its way through X: wait until it has done something, or for a moment if it does nothing.
            self.screen(after=before, wait=0.5)
        return self.screen()

    def _ok_counts(self, name: str) -> None:
        """A person's pace: two OKs within 300 ms are a double press (tv.md, Keys)."""
        if name == "OK":
            threading.Event().wait(max(0.0, self._last_ok + DOUBLE_PRESS_S - time.monotonic()))
            self._last_ok = time.monotonic()


@pytest.mark.parametrize("language", ["zh", "en"])
def test_keys_in_a_window_lead_from_home_to_a_paid_result(tmp_path: Path, language: str) -> None:
    with running_xvfb() as display, Hands(
        tmp_path, "--reader", "sim:good", "--lang", language, "--size", "1920x1080",
        environment={"DISPLAY": display}, headless=False,
    ) as tv:  # fmt: skip
        tv.display = display
        focus_window(display, tv.pid)
        tv.order(service="kids", term="monthly")
        tv.prompt("enter-pin")
        tv.type("123456")
        tv.press("OK")
        state = tv.wait_for("result")["state"]
        assert (state["outcome"], state["money_taken"]) == ("success", True)
        threading.Event().wait(GUARD_S)  # a person reads it first
        tv.press("LEFT")  # any key stops the countdown
        tv.post("/clock/freeze")
        on_screen = photograph(display).convert("RGB")
        told = Image.open(io.BytesIO(tv.picture())).convert("RGB")
        assert on_screen.size == told.size == (1920, 1080)
        assert ImageChops.difference(on_screen, told).getbbox() is None, (
            "the window does not show what screen.png says"
        )
