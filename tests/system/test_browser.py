"""The code on the screen, read from the picture as a phone's camera would, paid in a real Chromium. ONL-14"""

from __future__ import annotations

import io
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import zxingcpp
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.system.television import Television

pytestmark = pytest.mark.browser

QUIET = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
"""The first that is there is taken, as in scripts/setup."""
PHONE = {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert program, "Chromium is missing: make test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=list(QUIET))
        yield browser
        browser.close()


def code_on(tv: Television) -> str:
    """What a camera reads off the rendered frame."""
    tv.wait_for(lambda s: s["screen"] == "qr" and s["state"]["qr_state"] == "shown" and not s["busy"])
    picture = Image.open(io.BytesIO(tv.picture()))
    codes = zxingcpp.read_barcodes(picture)
    assert len(codes) == 1, f"{len(codes)} codes in the picture"
    return str(codes[0].text)


@pytest.mark.parametrize("size", ["1920x1080", "1280x720"])
def test_a_code_read_off_the_picture_is_paid_in_a_browser_and_the_television_follows_within_a_second(
    tmp_path: Path, chromium: Browser, size: str
) -> None:
    with Television(tmp_path, "--size", size) as tv:
        tv.order(service="kids", term="monthly", method="wallet:demo")
        page = chromium.new_page(viewport=PHONE, locale="zh-CN")
        page.goto(code_on(tv))
        page.click("#pay")
        paid_at = time.monotonic()
        state = tv.wait_for("result", seconds=5)["state"]
        followed_s = time.monotonic() - paid_at
        page.close()
    assert (state["outcome"], state["money_taken"]) == ("success", True)
    assert followed_s < 1.0


def test_declining_on_the_phone_fails_the_order_without_money(tmp_path: Path, chromium: Browser) -> None:
    with Television(tmp_path) as tv:
        tv.order(service="kids", term="monthly", method="wallet:demo")
        page = chromium.new_page(viewport=PHONE, locale="en-GB")
        page.goto(code_on(tv))
        page.click("#decline")
        state = tv.wait_for("result", seconds=5)["state"]
        page.close()
    assert (state["outcome"], state["money_taken"], state["reason"]) == ("failed", False, "declined")
