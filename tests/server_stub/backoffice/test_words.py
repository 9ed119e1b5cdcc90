"""The words of the back office: in both languages, whole, in the font; and every state, setting and right has some."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import fields
from functools import partial
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from fontTools.ttLib import TTFont

from scripts.make_locale import DOMAINS, collect
from server_stub.backoffice import code_words, frame, sentences, story_words, words
from server_stub.backoffice.pages import PAGES
from server_stub.backoffice.pages.jobs import MEANINGS as MEANINGS_OF_JOBS
from server_stub.backoffice.pages.parameters import GROUPS, MEANINGS, parameters
from server_stub.backoffice.rights import Role
from server_stub.exchange.partners import Limits
from server_stub.foundation.problems import CODES, ProblemBody
from server_stub.foundation.sentences import say
from server_stub.ppp.api import Change
from server_stub.settings import Settings
from server_stub.tsp import books, boxes, cases, machines, models, moves, reopening, wallet

TOPICS = ("OPEN_SERVICE", "REFUND", "ASK_WALLET", "REVERSE", "SCRIPT_RESULT", "PRESENT", "REVERSE_LOAD", "LOAD_SCRIPT_RESULT", "REOPEN", "REPORT_KEY")  # fmt: skip
ROOT = Path(__file__).resolve().parents[3]
PO = ROOT / "assets" / "locale" / "zh" / "LC_MESSAGES" / "backoffice.po"
STYLE = (ROOT / "server_stub" / "backoffice" / "static" / "backoffice.css").read_text("utf-8")


def translations() -> dict[str, str]:
    with PO.open("rb") as source:
        return {one(message.id): one(message.string) for message in read_po(source) if message.id}


def one(text: str | tuple[str, ...] | list[str]) -> str:
    """A message; of one that counts things its first form."""
    return text if isinstance(text, str) else text[0]


def test_every_message_has_a_translation_with_the_same_places() -> None:
    have, template = translations(), collect(ROOT, DOMAINS["backoffice"])
    wanted = [one(message.id) for message in template if message.id]
    assert len(wanted) > 300
    assert [message for message in wanted if not have.get(message)] == []
    place = re.compile(r"%\((\w+)\)s")
    assert [m for m, text in have.items() if sorted(place.findall(m)) != sorted(place.findall(text))] == []


@pytest.mark.parametrize("weight", ["Regular", "Bold"])
def test_every_character_is_in_the_font(weight: str) -> None:
    cmap = TTFont(ROOT / "assets" / "fonts" / f"NotoSansSC-{weight}.ttf").getBestCmap()
    letters = set("".join((*translations(), *translations().values()))) - set("\n")
    assert {letter for letter in letters if ord(letter) not in cmap} == set()


def test_one_thing_has_one_name() -> None:
    """What was called otherwise besides; docs/backoffice.md has the names."""
    refused = (
        "关键字",
        "差异",
        "提议",
        "案件",
        "刷卡",
        "支付工具",
        "操作过程",
        "收回业务",
        "退还",
        "退回",
        "标识",
        "重新约定",
        "未知：",
    )
    found = [(word, text) for word in refused for text in translations().values() if word in text]
    assert found == []
    english = ("sent back", "Stands as", "swept", "Together", 'anew"', "Way of paying", "Unknown:")
    assert [(word, text) for word in english for text in translations() if word in text] == []


def test_every_state_has_words_and_a_sign() -> None:
    assert machines.PAYMENT_SHOWN.keys() | machines.LOAD_SHOWN.keys() == words.PAYMENT_STATES.keys()
    assert {*cases.ACTIONS, *cases.LOAD_ACTIONS, "settled"} == words.CASE_ACTIONS.keys()
    assert set(machines.WATCHED.values()) <= words.CASE_KINDS.keys()
    assert {role.value for role in Role} == words.STAFF_ROLES.keys()
    icons = (ROOT / "server_stub" / "backoffice" / "templates" / "macros.html").read_text("utf-8")
    tables = (words.PAYMENT_STATES, words.CASE_STATES, words.BOX_STATES, words.BATCH_STATES)
    for tone in {mark.tone for table in tables for mark in table.values()} - {"plain"}:
        assert f'name == "{tone}"' in icons
        assert f".mark.{tone}" in STYLE


def appended() -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, ast.Call]]:
    """Every record that the code puts into an audit log, and the function that does."""
    for path in (ROOT / "server_stub").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                continue
            for call in ast.walk(function):
                named = isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)
                if named and call.func.attr == "append" and len(call.args) >= 5:
                    yield function, call


def texts_of(node: ast.AST) -> list[str]:
    return [
        one.value for one in ast.walk(node) if isinstance(one, ast.Constant) and isinstance(one.value, str)
    ]


def test_every_action_and_fact_of_an_audit_log_has_words() -> None:
    made = {"case-", "break-", "box-", "partner-", "proposal-"}
    found, facts = set[str](), set[str]()
    for function, call in appended():
        if isinstance(call.args[3], ast.JoinedStr):
            assert texts_of(call.args[3])[0] in made, ast.unparse(call)
        else:
            found |= set(texts_of(call.args[3]))
        facts |= {word.arg for word in call.keywords if word.arg is not None}
        handed = {
            word.value.id for word in call.keywords if isinstance(word.value, ast.Name) and word.arg is None
        }
        for part in ast.walk(function):
            targets = part.targets if isinstance(part, ast.Assign) else [getattr(part, "target", None)]
            if any(isinstance(one, ast.Name) and one.id in handed for one in targets):
                dicts = (one for one in ast.walk(part) if isinstance(one, ast.Dict))
                facts |= {key.value for one in dicts for key in one.keys if isinstance(key, ast.Constant)}
    assert len(found) > 20
    found |= {
        "sign-in-refused",
        "password-refused",
        "started",
        "stopped",
        "key-rotated",
        "key-copied",
        "subscribers-loaded",
    }
    found |= {f"case-{name}" for name in words.CASE_ACTIONS} | {"box-activation", "box-revoke", "box-suspend"}
    found |= {"partner-opened", "partner-closed", "proposal-refused", "proposal-withdrawn"}
    assert found - code_words.AUDITED.keys() == set()
    facts |= {*Limits._fields, *Change.model_fields}
    assert facts - code_words.FACTS.keys() == set()


def test_every_code_that_a_person_reads_has_words() -> None:
    assert books.CHART.keys() <= code_words.ACCOUNTS.keys()
    assert CODES.keys() <= code_words.REASONS.keys()
    api = (ROOT / "docs" / "tsp-api.md").read_text("utf-8")
    (only,) = (line for line in api.splitlines() if line.startswith("| `declined`,"))
    reasons = set(re.findall(r"`([a-z]+(?:-[a-z0-9]+)+)`", only))
    assert len(reasons) > 15
    assert reasons <= code_words.REASONS.keys()
    topics = {
        getattr(module, name)
        for module in (moves, boxes, reopening, wallet)
        for name in TOPICS
        if hasattr(module, name)
    }
    assert len(topics) >= 9
    assert topics <= code_words.TOPICS.keys()
    every = (machines.ORDER, machines.CARD_PAYMENT, machines.WALLET_PAYMENT, machines.LOAD)
    assert {one.name for one in every} <= code_words.MACHINES.keys()
    states = {state for one in every for origin, targets in one.moves.items() for state in (origin, *targets)}
    assert states <= code_words.STATES.keys()
    assert books.UNKNOWN | {"paid", "opened", "brought-forward"} <= story_words.BOOKED.keys()
    assert MEANINGS_OF_JOBS.keys() == code_words.JOBS.keys()
    assert {"script-result-refused", "load-disputed", "service-not-opened"} <= words.CASE_KINDS.keys()


def test_every_fact_of_an_answer_to_a_box_has_words() -> None:
    answers = (
        models.Order,
        models.Payment,
        models.Load,
        models.Authorisation,
        models.LoadAuthorisation,
        models.Authorised,
    )
    every = {
        name
        for one in (*answers, models.Leased, models.AccountBalance, ProblemBody)
        for name in one.model_fields
    }
    inside = {
        "mac1",
        "service",
        "reduction_reason",
        "methods",
        "facts",
        "qr",
        "card",
        "authorisation",
    }  # secret, or no text: not shown
    assert every - inside - code_words.FACTS.keys() == set()


def test_facts_are_told_in_words() -> None:
    def told(name: str, value: object, language: str = "zh") -> tuple[str, str, bool]:
        return code_words.fact(language, name, value)[1:]

    assert told("amount_fen", 1200) == ("金额", "¥12.00", True)
    assert told("roles", ["clerk", "admin"]) == ("角色", "操作员，管理员", True)
    assert told("once", True, "en") == ("To be used once", "yes", True)
    assert told("folders", {"IN": "rw"}, "en") == ("Folders", "IN: reads and writes", True)
    assert (
        told("proposed", {"action": "refund", "amount_fen": 5}, "en")[1]
        == "Decision: Refund through the wallet; Amount: ¥0.05"
    )
    assert told("why", say("payment %(payment)s is %(state)s now", payment="7", state="opened").kept)[
        1
    ].startswith("支付 7 现在")
    assert told("expires_at", "2026-06-21T02:00:05Z") == ("支付截止", "2026-06-21 10:00:05", True)
    assert told("moon", 1) == ("moon", "1", False)
    assert told("state", "never-heard-of", "en") == ("State", "never-heard-of", False)
    english = partial(words.said, "en")
    assert code_words.account_name(english, "revenue:kids", {"kids": "Kids' Club"}) == "Revenue: Kids' Club"
    assert code_words.account_name(english, "receivable:wallet:demo", {}) == "Receivable from Demo wallet"
    assert code_words.account_name(english, "moon:cheese", {}) == "moon:cheese"
    assert code_words.actor("en", "person:wu") == "wu"
    assert code_words.actor("zh", "rule:settled-late") == "规则：隔日清算：匹配"
    assert code_words.subject("en", "job-ordered", "books") == "Check of the books"
    assert code_words.subject("en", "move-refused", "card payment 7") == "Card payment 7"


def test_every_setting_has_a_meaning_and_stands_under_one_heading() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(MEANINGS)
    assert MEANINGS.keys() == {field.name for field in fields(Settings)}
    shown = parameters(Settings(), frozenset({"STB_SERVER_HOTLINE"}))
    assert {one.name: one.source for one in shown}["STB_SERVER_HOTLINE"] == "environment"


def test_what_came_of_a_job_is_told_in_the_words_of_the_page() -> None:
    chinese = partial(words.said, "zh")
    assert sentences.result("3 made, 0 sent", chinese) == "生成 3 个，发送 0 个"
    assert sentences.result("3 made, ConnectionError('away')", chinese) == "3 made, ConnectionError('away')"
    assert sentences.result(None, chinese) == "–"


def test_values_of_a_sentence_are_what_their_names_say() -> None:
    told = {
        "limit_fen": 500_000,
        "state": "moon",
        "states": "paid, opened",
        "code": "wrong-state",
        "line": 1234,
    }
    said = say("%(limit_fen)s %(state)s %(states)s %(code)s %(line)s", **told)
    english = "¥5,000.00 moon Paid, being opened; Paid and opened The payment is in another state now. 1,234"
    assert sentences.worded("en", said) == english
    assert (
        sentences.worded("zh", said)
        == "¥5,000.00 moon 已支付，正在开通；已支付并开通 这笔支付的状态已经变了。 1,234"
    )


@pytest.mark.parametrize(
    ("partner", "chinese"), [("boss", "没有收到 BOSS 的文件 a.txt"), ("ppp", "没有收到银联前置的文件 a.txt")]
)
def test_a_latin_name_stands_apart_within_chinese(partner: str, chinese: str) -> None:
    said = say("no file %(name)s of %(partner)s is here", name="a.txt", partner=partner)
    assert sentences.worded("zh", said) == chinese
    assert "  " not in sentences.worded("en", said)


def test_the_menu_goes_to_pages_that_are_there_each_by_a_key_of_its_own() -> None:
    ways = [way for _, section in frame.MENU for way in section]
    there = {(page.path, page.right) for page in PAGES if page.method == "GET"}
    assert {(way.path, way.right) for way in ways} <= there
    assert len({way.key for way in ways}) == len({way.id for way in ways}) == len(ways)


def luminance(color: str) -> float:
    parts = [int(color[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_no_cell_of_a_table_is_laid_out_as_something_else() -> None:
    """A class of a cell is no box's elsewhere: `display` would take the cell out of its row."""
    pages = ROOT / "server_stub" / "backoffice" / "templates"
    texts = [path.read_text("utf-8") for path in pages.glob("*.html")]
    classes = {
        name
        for text in texts
        for found in re.findall(r'<t[dh] class="([a-z ]+)"', text)
        for name in found.split()
    }
    assert {"num", "found"} <= classes
    assert [name for name in classes if re.search(rf"^\.{name} {{[^}}]*display:", STYLE, re.MULTILINE)] == []


@pytest.mark.parametrize(
    ("text", "ground"),
    [
        ("ink", "desk"), ("ink-2", "card"), ("ink-2", "desk"), ("deep", "card"), ("deep", "desk"), ("deep", "wash"),
        ("good", "good-wash"), ("wait", "wait-wash"), ("bad", "bad-wash"), ("off", "off-wash"), ("card", "deep"),
        ("card", "bad"), ("on-night", "night-3"), ("on-night-2", "night-2"), ("night", "gold"), ("night", "mint"),
    ],
)  # fmt: skip
def test_text_stands_out(text: str, ground: str) -> None:
    tokens = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", STYLE))
    light, dark = sorted((luminance(tokens[text]), luminance(tokens[ground])), reverse=True)
    assert (light + 0.05) / (dark + 0.05) >= 4.5
