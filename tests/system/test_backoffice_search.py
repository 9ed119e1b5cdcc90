"""The search and a payment's story in a real Chromium, with nothing but keys."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.server_stub.backoffice.desk import Desk
from tests.system.test_backoffice import chromium, page, server, sign_in

__all__ = ["chromium", "page", "server"]
pytestmark = pytest.mark.browser


@pytest.mark.parametrize(("page", "language"), [("en", "en"), ("zh", "zh")], indirect=["page"])
def test_a_card_is_searched_for_and_the_story_read_with_nothing_but_keys(
    server: Desk, page: Page, language: str
) -> None:
    words = {"en": ("Transactions", "Payment", "The money is in."), "zh": ("交易", "支付", "已收款。")}[
        language
    ]
    sign_in(page, server, "zhang.min", language)
    page.keyboard.press("g")
    page.keyboard.press("x")
    expect(page.locator("h1")).to_have_text(words[0])
    expect(page.locator("[type=search]")).to_be_focused()
    page.keyboard.type("62170018340572162047")
    page.keyboard.press("Enter")
    page.wait_for_url("**/transactions?*")
    assert "62170018340572162047" not in page.url + page.content()
    expect(page.locator("tbody tr").first).to_contain_text("6217 00** **** **** 2047")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    wanted = page.locator("tbody tr", has_text="12.00").locator("a")
    while not wanted.evaluate("a => a === document.activeElement"):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url("**/transactions/0*")
    expect(page.locator("h1")).to_contain_text(words[1])
    expect(page.locator(".timeline")).to_contain_text(words[2])
    details = page.locator(".timeline summary").first
    details.focus()
    page.keyboard.press("Enter")
    expect(page.locator(".timeline dl").first).to_be_visible()
    # The steps behind a milestone are folded, and open with a key.
    steps = page.locator(".timeline .after")
    expect(steps.first.locator("ol")).not_to_be_visible()
    steps.locator("> summary").first.focus()
    page.keyboard.press("Space")
    expect(steps.first.locator("ol")).to_be_visible()
    # All opened, nothing runs out of its card.
    page.evaluate("document.querySelectorAll('.timeline details').forEach((one) => { one.open = true; })")
    for width in (640, 1280, 1920):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate(OUTSIDE) == [], width


OUTSIDE = """() => {
  const card = document.querySelector(".timeline").closest(".card").getBoundingClientRect();
  const told = document.querySelectorAll(".timeline :is(p, dt, dd, time, summary)");
  return [...told].filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== "inline"
    || one.getBoundingClientRect().right > card.right).map((one) => one.textContent);
}"""
