"""A subscriber's ways with a television, and what must be true whatever happens on it."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import requests

from screens.problem_words import PROBLEMS
from screens.problems import PROMPTS
from tests.system.television import Screen, Television

CODES = {code for code in (*PROBLEMS, *PROMPTS) if "-" in code}
JARGON = re.compile(r"Traceback|Exception|Error|HTTP|None\b|[{}<>]|\w_\w")
ENGLISH = re.compile(r"\b[a-z]{3,} [a-z]{3,}\b")
NOT_TAKEN, RETURNED = "No money was taken.", "The money was sent back to you."


def online(tv: Television) -> None:
    tv.wait_for(lambda s: s["screen"] == "home" and s["state"]["connection"] == "online")


def home(tv: Television) -> None:
    """Home from wherever the last test has ended, with an empty slot."""
    tv.post("/card/pull")
    for _ in range(4):
        screen = tv.press("HOME")
        if screen["screen"] == "question":
            leaving = {"cancel-payment", "leave"} & set(screen["state"]["options"])
            tv.choose(leaving.pop())
            tv.wait_for("result")
    online(tv)


def plain(tv: Television, *words: str) -> Screen:
    """What is said: these words in English, no word of a programmer in either language, nothing untranslated in Chinese."""
    english = tv.screen()
    assert set(words) <= set(english["texts"]), english["texts"]
    tv.post("/settings", language="zh")
    chinese = tv.screen()
    tv.post("/settings", language="en")
    for text in (*english["texts"], *chinese["texts"]):
        assert not JARGON.search(text), text
        assert not CODES & set(re.findall(r"[a-z]+(?:-[a-z]+)+", text)) - {"per-use"}, text
    assert not [text for text in chinese["texts"] if ENGLISH.search(text)]
    assert (chinese["screen"], chinese["focus"]) == (english["screen"], english["focus"])
    return english


def result(tv: Television, outcome: str, taken: bool | None, *words: str) -> Screen:
    """The result page of a payment that did not go as it should: it stays, with a way on that has the focus."""
    tv.wait_for("result")
    screen = plain(tv, *words)
    state = screen["state"]
    assert (state["outcome"], state["money_taken"]) == (outcome, taken)
    ways = {f["key"] for f in screen["focusables"]}
    on = {"again", "pin-again", "pay-otherwise"} & ways
    assert screen["focus"] in (on if outcome in ("failed", "expired") and taken is False else {"done"})
    again = bool({"again", "pin-again"} & ways)
    assert again == (outcome in ("failed", "cancelled", "expired", "late"))
    return screen


def recorded(tv: Television, number: str) -> tuple[str, str]:
    """State and money of a payment in the records."""
    tv.press("HOME")
    tv.wait_for("home")
    tv.choose("records")
    records = tv.wait_for(lambda s: s["screen"] == "records" and "records" in s["state"] and not s["busy"])
    found = {r["number"]: (r["state"], r["money"]) for r in records["state"]["records"]}
    tv.press("BACK")
    return found[number]


def balance(tv: Television) -> int:
    """What is on the good card, as the television reads it."""
    home(tv)
    tv.choose("card-inquiry")
    tv.wait_for("card-inquiry")
    tv.post("/card/insert/good")
    read = tv.wait_for(lambda s: "balance_fen" in s["state"])
    home(tv)
    fen: int = read["state"]["balance_fen"]
    return fen


def with_card(tv: Television, profile: str = "good", service: str = "kids") -> None:
    home(tv)
    tv.order(service=service)
    tv.prompt("insert")
    tv.post(f"/card/insert/{profile}")


def to_confirmation(tv: Television, service: str = "kids", term: str = "monthly") -> None:
    """From home to the second confirmation of a card payment, with the focus on paying."""
    tv.choose("services")
    tv.choose(f"service:{service}")
    tv.choose(f"term:{term}")
    tv.choose("order")
    tv.wait_for("fee")
    tv.choose("continue")
    tv.wait_for("payment-methods")
    tv.choose("card")
    tv.wait_for("confirm")
    tv.focus("confirm")


def pin(tv: Television, digits: str = "123456") -> None:
    tv.prompt("enter-pin", "wrong-pin")
    tv.type(digits)
    tv.press("OK")


def paid(tv: Television, before_fen: int) -> None:
    """It has become a success, and card and records agree."""
    state = tv.wait_for("result", 30)["state"]
    assert (state["outcome"], state["money_taken"]) == ("success", True)
    price_fen = state["balance_before_fen"] - state["balance_after_fen"]
    assert price_fen > 0
    assert recorded(tv, state["number"]) == ("done", "taken")
    assert balance(tv) == before_fen - price_fen


def server_of(tv: Television) -> int:
    """The bundled server's process."""
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
        if parent == tv.pid and b"server_stub" in (folder / "cmdline").read_bytes():
            return int(folder.name)
    raise AssertionError("the television has no server")


def cut(tv: Television) -> None:
    """The server dies; the television starts another one at the same address."""
    os.kill(server_of(tv), signal.SIGKILL)


def code(tv: Television) -> str:
    """Orders with the wallet; what the code says."""
    home(tv)
    tv.order(service="music", method="wallet:demo")
    payload: str = tv.wait_for(lambda s: s["state"].get("qr_state") == "shown")["state"]["payload"]
    return payload


def phone(payload: str, act: str) -> None:
    assert requests.post(f"{payload}/{act}", timeout=5).ok


def balance_offline(tv: Television) -> int:
    """A card can be looked at without anybody's help."""
    tv.choose("card-inquiry")
    tv.wait_for("card-inquiry")
    tv.post("/card/insert/good")
    state = tv.wait_for(lambda s: "balance_fen" in s["state"])["state"]
    plain(tv, "There is no connection to ask whether this card can pay.")
    fen: int = state["balance_fen"]
    return fen


def load(tv: Television, fen: str) -> tuple[int, int]:
    """Loads the electronic cash of the card that is in; what it held before and holds now, in fen."""
    tv.choose("card-inquiry")
    read = tv.wait_for(lambda s: s["state"].get("kind") == "electronic-cash")["state"]
    for key in ("load", fen, "load"):
        tv.choose(key)
    tv.wait_for(lambda s: s["screen"] == "card-load" and s["state"].get("prompt") == "enter-pin")
    tv.type("123456")
    tv.press("OK")
    ended = tv.wait_for(lambda s: "load" in s["state"])["state"]
    assert ended["load"] == "loaded"
    return read["balance_fen"], ended["balance_fen"]
