"""Every page of the back office in both languages as a picture: LANGUAGE-SIZE/PAGE.png in a folder.

python -m scripts.backoffice_shots FOLDER [--page NAME ...] [--size 1280x800 ...] [--zoom 200]
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Browser, Page, sync_playwright

from tests.server_stub.backoffice.desk import PASSWORD, Desk, browser_program, business, desk

SHOWN = {
    "home": "/",
    "cases": "/cases",
    "case": "/cases/{case}",
    "proposals": "/proposals",
    "boxes": "/boxes",
    "box": "/boxes/85312048",
    "psams": "/psams",
    "psam": "/psams/module?psam=sim:1",
    "exports": "/exports",
    "batches": "/batches",
    "jobs": "/jobs",
    "audit": "/audit",
    "audit-boss": "/audit?role=boss",
    "audit-backoffice": "/audit?role=backoffice",
    "parameters": "/parameters",
    "staff": "/staff",
    "staff-one": "/staff/li.wei",
    "transactions": "/transactions",
    "transactions-fields": "/transactions?money=taken&from_fen=10.00",
    "transactions-wrong": "/transactions?from_fen=much",
    "story": "/transactions/{payment}",
    "story-unknown": "/transactions/{payment_unknown}",
    "reports": "/reports/2026-06",
    "reports-day": "/reports/2026-06-21",
    "breaks": "/breaks",
    "breaks-wrong": "/breaks?amount=much",
    "break": "/breaks/{break}",
    "break-one-side": "/breaks/{break_lost}",
    "reconciliation": "/reconciliation",
    "run": "/reconciliation/{run}",
    "run-refused": "/reconciliation/{run_refused}",
    "days": "/days",
    "files": "/files",
    "file": "/files/tsp/{file}",
    "partners": "/partners",
    "partner": "/partners/ppp",
    "take-back": "{take_back}",
    "help": "/help",
    "account": "/account",
    "password": "/password",
    "not-found": "/nowhere",
}
"""The pages, by the name of their picture; ``sign-in`` comes besides."""

FIRST = {
    "case": "/cases",
    "break": "/breaks?cls=amount",
    "break_lost": "/breaks?cls=missing-there",
    "run": "/reconciliation?pair=boss&state=done",
    "run_refused": "/reconciliation?pair=boss&state=refused",
    "file": "/files?role=tsp&partner=boss",
    "payment": "/transactions?kind=purse&state=opened",
    "payment_unknown": "/transactions?case=open",
}
"""Where the first of a table is one that is shown."""


def main(arguments: list[str]) -> int:
    """Draws what is asked for; returns the process's exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--page", nargs="+", default=["sign-in", *SHOWN])
    parser.add_argument("--size", nargs="+", default=["1280x800", "1920x1080"])
    parser.add_argument("--zoom", type=int, default=100, help="as a browser's, in percent")
    wanted = parser.parse_args(arguments)
    count = 0
    with (
        TemporaryDirectory() as folder,
        desk(Path(folder), business) as server,
        sync_playwright() as playwright,
    ):
        browser = playwright.chromium.launch(executable_path=browser_program(), args=["--no-sandbox"])
        for language in ("zh", "en"):
            for size in wanted.size:
                count += _draw(browser, server, language, size, wanted)
        browser.close()
    print(f"{count} pictures in {wanted.folder}")
    return 0


def _draw(browser: Browser, server: Desk, language: str, size: str, wanted: argparse.Namespace) -> int:
    width, height = (int(one) * 100 // wanted.zoom for one in size.split("x"))
    page = browser.new_page(
        viewport={"width": width, "height": height},
        device_scale_factor=wanted.zoom / 100,
        locale={"zh": "zh-CN", "en": "en-GB"}[language],
    )
    target = wanted.folder / (f"{language}-{size}" + (f"-{wanted.zoom}" if wanted.zoom != 100 else ""))
    target.mkdir(parents=True, exist_ok=True)
    page.goto(f"{server.url}/sign-in")
    if "sign-in" in wanted.page:
        page.screenshot(path=target / "sign-in.png")
    page.get_by_role("textbox").first.fill("chen.jing")
    page.locator("[name=password]").fill(PASSWORD)
    page.locator("main button").click()
    page.wait_for_url(f"{server.url}/")
    if page.locator("html").get_attribute("lang") != {"zh": "zh-CN", "en": "en"}[language]:
        page.locator("[data-key=l]").click()
        page.wait_for_load_state()
    found = {name: _first(page, server, path) for name, path in FIRST.items()}
    page.goto(f"{server.url}/boxes/85312048")
    taken_back = page.locator("td a[href*='/services/']").first.get_attribute("href") or ""
    found["take_back"] = taken_back.removeprefix("/backoffice")
    chosen = [name for name in wanted.page if name in SHOWN]
    for name in chosen:
        page.goto(server.url + SHOWN[name].format(**found))
        page.screenshot(path=target / f"{name}.png", full_page=True)
    page.close()
    return len(chosen) + ("sign-in" in wanted.page)


def _first(page: Page, server: Desk, path: str) -> str:
    """The id of the first of a table."""
    page.goto(server.url + path)
    return (page.locator("tbody a").first.get_attribute("href") or "").rpartition("/")[2]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
