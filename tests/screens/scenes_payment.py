"""Every page around a payment in every state, by name; the same kind of scenes as ``scenes``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from screens.problem_words import PROBLEMS
from screens.problems import ELSEWHERE, MAY_BE_PAID
from screens.result import NOT_THIS_BOX, NOT_THIS_CARD, NOT_THIS_SERVICE
from stb_app.journeys import CardStanding, Order
from stb_app.journeys.card_lab import CardReading, Kept, OwnCard
from stb_app.journeys.steps import (
    PIN_REFUSED_LAST,
    PROBLEM_PROMPTS,
    CardMoved,
    CardPrompt,
    Finished,
    LoadEnded,
    LoadOutcome,
    Prompt,
    Refused,
)
from tests.screens import data
from tests.screens.dummies import Television
from tests.screens.dummy_lab import READER, READERS, pulled, seen, traces
from tests.screens.dummy_payments import (
    BANK_CARD,
    BY_OPERATOR,
    ISSUER,
    LOADED,
    LOG,
    NOT_TAKEN,
    NUMBER,
    PAID,
    READ,
    SUCCESS,
    SUCCESS_WALLET,
    UNKNOWN,
    Acted,
    PaymentVerbs,
    Slot,
    code,
    earlier,
    failed,
    prompt,
)
from tests.screens.scenes import Scene

Then = Callable[[Television], Any]


@dataclass(frozen=True, slots=True)
class PaymentScene(Scene):
    """A scene whose journeys can be told to go on; ``slot``: the simulated slot that the television has."""

    slot: Slot | None = None

    def play(
        self, language: str = "zh", text_scale: int = 100, size: tuple[int, int] = (1920, 1080)
    ) -> Television:
        television = Television(PaymentVerbs(**self.answers), language, text_scale, size)
        if self.slot is not None:
            television.app.slot = Slot(self.slot.profile, *self.slot.own)
        self.act(television)
        return television


def journey(tv: Television) -> Acted:
    """The payment, inquiry or following that was begun last."""
    assert isinstance(tv.verbs, PaymentVerbs)
    return tv.verbs.begun[-1]


def ways(tv: Television) -> list[str]:
    """The keys of what can be pressed now."""
    return [target.key for target in tv.app.stage.targets() if target.enabled]


def post(tv: Television, *steps: Any) -> None:
    """The journey says something more."""
    for step in steps:
        journey(tv).post(step)
        tv.show()


def card(
    name: str, *steps: Any, then: Then | None = None, focus: str | None = None, screen: str = "card"
) -> PaymentScene:
    """The card page after these steps."""

    def act(tv: Television) -> None:
        tv.open("card", order=data.ORDER)
        post(tv, *steps)
        if then is not None:
            then(tv)

    return PaymentScene(name, screen, act, focus=focus)


def qr(
    name: str, *steps: Any, then: Then | None = None, focus: str | None = None, screen: str = "qr"
) -> PaymentScene:
    """The code's page after these steps."""

    def act(tv: Television) -> None:
        tv.open("qr", order=data.ORDER, method="wallet:demo")
        post(tv, *steps)
        if then is not None:
            then(tv)

    return PaymentScene(name, screen, act, focus=focus)


def result(name: str, end: Finished, then: Then | None = None, order: Order = data.ORDER) -> PaymentScene:
    """The result of a payment for the service with the longest name."""
    if end.payment is not None:
        end = replace(end, payment=replace(end.payment, service=data.LONGEST))
    order = replace(order, service=data.LONGEST)

    def act(tv: Television) -> None:
        tv.open("result", finished=end, order=order)
        if then is not None:
            then(tv)

    vain = end.reason in (*ELSEWHERE, *NOT_THIS_SERVICE, *NOT_THIS_BOX, *MAY_BE_PAID)
    again = end.outcome in ("failed", "expired") and end.money == "not-taken" and not vain
    first = "pin-again" if end.reason == "pin-refused" else "again"
    first = "pay-otherwise" if end.reason in NOT_THIS_CARD else first
    again = again and end.reason != PIN_REFUSED_LAST
    return PaymentScene(name, "result", act, focus=first if again else "done")


def inquiry(
    name: str, *steps: Any, focus: str | None = None, then: Then | None = None, screen: str = "card-inquiry"
) -> PaymentScene:
    """A look at a card."""

    def act(tv: Television) -> None:
        tv.open("card-inquiry")
        post(tv, *steps)
        if then is not None:
            then(tv)

    return PaymentScene(name, screen, act, focus=focus)


def _amounts(tv: Television) -> None:
    tv.ok("load")


def _taken(tv: Television) -> None:
    assert isinstance(tv.verbs, PaymentVerbs)
    tv.verbs.watches[-1].post(CardMoved(inside=False))
    tv.show()


def _confirm_load(tv: Television) -> None:
    tv.ok("load").ok("10000")


def loading(
    name: str, *steps: Any, focus: str | None = None, then: Then | None = None, screen: str = "card-load"
) -> PaymentScene:
    """A card that is being loaded."""

    def act(tv: Television) -> None:
        _confirm_load(tv)
        tv.ok("load")
        post(tv, *steps)
        if then is not None:
            then(tv)

    return inquiry(name, BANK_CARD, then=act, focus=focus, screen=screen)


def digits(*keys: str) -> Then:
    return lambda tv: tv.press(*keys)


PIN = tuple("123456")
FEW = tuple("123")
NORMAL = (prompt("starting"), prompt("insert"), prompt("reading", known=True), prompt("enter-pin"))
UNASKED = replace(READ, standing=None, issuer=None, asked_problem="tsp-unreachable")
REFUSED_CARD = replace(READ, standing=CardStanding(ISSUER, False, "card-issuer-unknown"), log=())


def _cancelling(tv: Television) -> None:
    tv.press("BACK").ok("cancel-payment")


def _slow(tv: Television) -> None:
    _cancelling(tv)
    tv.wait(21)


OF_A_LOAD = {"no-cash", "cash-full"}
"""Problems of a card that no payment meets."""
CARD_SCENES: tuple[PaymentScene, ...] = (
    card("card-starting", prompt("starting")),
    card("card-insert", prompt("insert"), focus="cancel"),
    card("card-cash", prompt("confirm-cash"), focus="cancel"),
    card("card-cash-processing", prompt("confirm-cash"), prompt("processing")),
    card("card-reading", prompt("reading", known=True)),
    card("card-reading-long", prompt("reading", known=True), then=lambda tv: tv.wait(9)),
    card("card-enter-pin", *NORMAL, then=digits(*FEW), focus="pin"),
    card("card-enter-pin-short", *NORMAL, then=digits(*FEW, "OK"), focus="pin"),
    card("card-checking-pin", *NORMAL, then=digits(*PIN, "OK")),
    card("card-checking-pin-long", *NORMAL, then=lambda tv: tv.press(*PIN, "OK").wait(9)),
    card("card-wrong-pin", *NORMAL, prompt("wrong-pin", 2), focus="pin"),
    card("card-wrong-pin-last", *NORMAL, prompt("wrong-pin", 1), focus="pin"),
    card("card-processing", prompt("processing")),
    card("card-processing-long", prompt("processing"), then=lambda tv: tv.wait(9)),
    card("card-processing-back", prompt("processing"), then=digits("BACK")),
    card("card-waiting-psam", prompt("waiting-psam"), focus="cancel"),
    card("card-reconnecting", prompt("starting"), prompt("reconnecting", known=False), focus="cancel"),
    card("card-reconnecting-inside", prompt("processing"), prompt("reconnecting"), focus="cancel"),
    card("card-no-service", prompt("starting"), prompt("no-service", known=False), focus="try-again"),
    card("card-no-service-inside", prompt("processing"), prompt("no-service"), focus="try-again"),
    card("card-remove", prompt("remove"), focus="go-on"),
    card("card-removed-early", prompt("removed-early"), focus="cancel"),
    card("card-put-back", prompt("put-back"), focus="leave"),
    card("card-put-back-question", prompt("put-back"), then=digits("BACK"), screen="question", focus="keep"),
    card("card-put-back-earlier", earlier("put-back"), focus="leave"),
    card("card-other-card", prompt("other-card"), focus="leave"),
    card("card-other-card-earlier", earlier("other-card"), focus="leave"),
    card("card-reader-away-earlier", earlier("reader-away"), focus="leave"),
    card("card-settling-earlier", earlier("settling")),
    card("card-settling", prompt("settling")),
    card("card-silent", prompt("silent"), focus="leave"),
    card("card-silent-paid", prompt("silent-paid"), focus="leave"),
    card("card-starting-earlier", earlier("starting")),
    card("card-reconnecting-earlier", earlier("starting"), earlier("reconnecting"), focus="leave"),
    card("card-reconnecting-earlier-inside", earlier("settling"), earlier("reconnecting"), focus="leave"),
    card("card-reader-away", prompt("reader-away"), focus="leave"),
    card("card-reader-missing", prompt("reader-missing"), focus="pay-otherwise"),
    card("card-service-down", replace(prompt("reader-missing"), trouble="service"), focus="pay-otherwise"),
    card("card-service-away", replace(prompt("reader-away"), trouble="service"), focus="leave"),
    card("card-reader-in-use", replace(prompt("reader-missing"), trouble="in-use"), focus="pay-otherwise"),
    card("card-reader-silent", replace(prompt("reader-missing"), trouble="silent"), focus="pay-otherwise"),
    card("card-away-in-use", replace(prompt("reader-away"), trouble="in-use"), focus="leave"),
    card("card-away-silent", replace(prompt("reader-away"), trouble="silent"), focus="leave"),
    *(
        card(f"card-{word}", prompt(word), focus="pay-otherwise")  # type: ignore[arg-type]
        for word in sorted(PROBLEM_PROMPTS - OF_A_LOAD)
    ),
    card("card-question", prompt("insert"), then=digits("BACK"), screen="question", focus="keep"),
    card("card-cancelling", prompt("insert"), then=_cancelling),
    card("card-slow", prompt("insert"), then=_slow, focus="records"),
)
QR_SCENES: tuple[PaymentScene, ...] = (
    qr("qr-making"),
    qr("qr-shown", code(), focus="code"),
    qr("qr-last-seconds", code(left=19.0), focus="code"),
    qr("qr-large", code(), then=digits("OK"), focus="code"),
    qr("qr-scanned", code(), code("scanned", 98.0), focus="code"),
    qr("qr-confirming", code("confirming", 80.0)),
    qr("qr-reconnecting", code("reconnecting", 75.0), focus="code"),
    qr("qr-checking", code("checking", 0.0)),
    qr("qr-checking-back", code("checking", 0.0), then=digits("BACK")),
    qr("qr-question", code(), then=digits("BACK"), screen="question", focus="keep"),
    qr("qr-cancelling", code(), then=_cancelling),
    qr("qr-slow", code(), then=_slow, focus="records"),
)
REASONS = tuple(sorted(set(PROBLEMS) - {"expired-card"}))
NOT_SCANNED = replace(NOT_TAKEN, method="wallet:demo")
RESULT_SCENES: tuple[PaymentScene, ...] = (
    result("result-success", SUCCESS),
    result("result-success-card-in", replace(SUCCESS, card_in_slot=True)),
    result("result-success-wallet", SUCCESS_WALLET),
    result("result-success-stopped", SUCCESS, digits("RIGHT", "LEFT")),
    result(
        "result-pending-opening",
        Finished("pending", "taken", None, replace(PAID, state="paid", valid_until=None)),
    ),
    result(
        "result-success-earlier",
        Finished("success", "taken", None, replace(PAID, term="quarterly"), earlier=True),
        order=replace(data.REDUCED, order="order-new"),
    ),
    result(
        "result-pending-card-away-earlier",
        Finished("pending", "unknown", "card-away", data.UNSETTLED, earlier=True),
        order=replace(data.REDUCED, order="order-new"),
    ),
    result("result-opened-by-operator", Finished("success", "taken", BY_OPERATOR.reason, BY_OPERATOR)),
    result("result-paying-elsewhere", Finished("failed", "unknown", "paying-elsewhere", earlier=True)),
    result("result-paid-elsewhere", Finished("failed", "taken", "paid-elsewhere", earlier=True)),
    result("result-pending", Finished("pending", "unknown", "tsp-unreachable", UNKNOWN)),
    result(
        "result-pending-card-away", Finished("pending", "unknown", "card-away", UNKNOWN, {"number": NUMBER})
    ),
    result("result-pending-earlier", Finished("pending", "unknown", "payment-in-progress", UNKNOWN)),
    result("result-pending-mac2", Finished("pending", "unknown", "mac2-refused", UNKNOWN, card_in_slot=True)),
    result("result-pending-certificate-lost", Finished("pending", "unknown", "certificate-lost", UNKNOWN)),
    result(
        "result-pending-certificate-refused", Finished("pending", "unknown", "certificate-refused", UNKNOWN)
    ),
    result("result-pin-refused", failed("pin-refused")),
    result("result-pin-refused-card-in", replace(failed("pin-refused"), card_in_slot=True)),
    result("result-pin-refused-last", failed("pin-refused-last")),
    result("result-declined", Finished("failed", "not-taken", "declined", NOT_SCANNED)),
    result("result-no-payment", Finished("failed", "not-taken", "tsp-unreachable")),
    result("result-too-little", failed("balance-too-low", balance_fen=320, amount_fen=1500)),
    result("result-unheard-of", failed("frobnicated")),
    result("result-cancelled", Finished("cancelled", "not-taken", None, NOT_TAKEN)),
    result("result-expired", Finished("expired", "not-taken", "expired", NOT_SCANNED)),
    result("result-card-wait-expired", Finished("expired", "not-taken", "card-wait-expired", NOT_TAKEN)),
    result(
        "result-late",
        Finished("late", "returned", "expired", replace(NOT_SCANNED, money="returned", state="late")),
    ),
)
REASON_SCENES: tuple[PaymentScene, ...] = tuple(
    result(f"result-failed-{reason}", failed(reason)) for reason in REASONS
)
INQUIRY_SCENES: tuple[PaymentScene, ...] = (
    inquiry("card-inquiry", prompt("insert"), focus="done"),
    inquiry("card-inquiry-reading", prompt("reading", known=True)),
    inquiry("card-inquiry-reading-long", prompt("reading", known=True), then=lambda tv: tv.wait(9)),
    inquiry("card-inquiry-pin", prompt("enter-pin"), then=digits(*FEW), focus="pin"),
    inquiry("card-inquiry-wrong-pin", prompt("wrong-pin", 1), focus="pin"),
    inquiry("card-inquiry-removed-early", prompt("removed-early"), focus="done"),
    inquiry("card-inquiry-not-readable", prompt("not-readable"), focus="done"),
    inquiry("card-inquiry-reader-missing", prompt("reader-missing"), focus="done"),
    inquiry("card-inquiry-service-down", replace(prompt("reader-missing"), trouble="service"), focus="done"),
    inquiry("card-inquiry-asking-bank", prompt("processing")),
    inquiry("card-inquiry-settling", prompt("settling")),
    inquiry("card-inquiry-read", READ, focus="done"),
    inquiry("card-inquiry-read-taken", READ, then=_taken, focus="done"),
    inquiry("card-inquiry-read-refused", REFUSED_CARD, focus="done"),
    inquiry("card-inquiry-read-unasked", UNASKED, focus="done"),
    inquiry("card-inquiry-read-no-log", replace(READ, log=None), focus="done"),
    inquiry("card-inquiry-read-few", replace(READ, log=LOG[:3]), focus="done"),
    inquiry("card-inquiry-read-cash", BANK_CARD, focus="done"),
    inquiry("card-inquiry-read-debit", replace(BANK_CARD, kind="debit", cash=None, log=()), focus="account"),
    inquiry("card-inquiry-read-credit", replace(BANK_CARD, kind="credit", cash=None), focus="account"),
    inquiry(
        "card-inquiry-read-available-credit",
        replace(BANK_CARD, kind="credit", cash=None, account_fen=1_250_000),
        focus="done",
    ),
    inquiry(
        "card-inquiry-read-credit-expired",
        replace(BANK_CARD, kind="credit", cash=None, usable=False),
        focus="done",
    ),
    inquiry(
        "card-inquiry-read-account",
        replace(BANK_CARD, kind="debit", cash=None, account_fen=498_500, log=()),
        focus="done",
    ),
    inquiry(
        "card-inquiry-read-account-refused",
        replace(BANK_CARD, kind="debit", cash=None, account_refusal="pin-refused", log=()),
        focus="account",
    ),
    inquiry(
        "card-inquiry-read-account-refused-last",
        replace(BANK_CARD, kind="debit", cash=None, account_refusal="pin-refused-last", log=()),
        focus="done",
    ),
    inquiry(
        "card-inquiry-read-account-declined",
        replace(BANK_CARD, kind="debit", cash=None, account_refusal="declined-by-issuer", log=()),
        focus="done",
    ),
    inquiry("card-load-amount", BANK_CARD, then=_amounts, focus="not-now", screen="question"),
    inquiry("card-load-confirm", BANK_CARD, then=_confirm_load, focus="not-now", screen="question"),
    inquiry("card-inquiry-waited", Refused("card-wait-expired", retryable=True), focus="again"),
    inquiry("card-inquiry-internal", Refused("internal", retryable=True), focus="again"),
)


def held_up(word: Prompt) -> CardPrompt:
    """A prompt of a load, of the card that is loaded."""
    away = word in ("put-back", "other-card", "reader-away", "settling")
    balance = 18650 if word in ("enter-pin", "processing") else 95_000 if word == "cash-full" else None
    return CardPrompt(word, BANK_CARD.number if balance or away else "", balance, 10_000, pin_for_issuer=True)


def not_loaded(reason: str, outcome: LoadOutcome = "failed") -> LoadEnded:
    return replace(LOADED, outcome=outcome, reason=reason, balance_fen=None)


def _cancel_load(tv: Television) -> None:
    tv.press("BACK").ok("cancel-load")


def _slow_load(tv: Television) -> None:
    _cancel_load(tv)
    tv.wait(21)


LOAD_SCENES: tuple[PaymentScene, ...] = (
    loading("card-load-starting"),
    loading("card-load-insert", held_up("insert"), focus="cancel"),
    loading("card-load-reading", held_up("reading")),
    loading("card-load-reading-long", held_up("reading"), then=lambda tv: tv.wait(9)),
    loading("card-load-pin", held_up("enter-pin"), then=digits(*FEW), focus="pin"),
    loading("card-load-pin-short", held_up("enter-pin"), then=digits(*FEW, "OK"), focus="pin"),
    loading("card-load-pin-sent", held_up("enter-pin"), then=digits(*PIN, "OK")),
    loading("card-load-wrong-pin-last", replace(held_up("wrong-pin"), tries_left=1), focus="pin"),
    loading("card-load-processing", held_up("processing")),
    loading("card-load-processing-long", held_up("processing"), then=lambda tv: tv.wait(9)),
    loading("card-load-processing-back", held_up("processing"), then=digits("BACK")),
    loading("card-load-reconnecting", held_up("reading"), held_up("reconnecting"), focus="cancel"),
    *(
        loading(f"card-load-{word}", held_up(word), focus="leave")
        for word in ("put-back", "other-card", "reader-away")
    ),
    loading("card-load-service-away", replace(held_up("reader-away"), trouble="service"), focus="leave"),
    loading("card-load-away-silent", replace(held_up("reader-away"), trouble="silent"), focus="leave"),
    loading("card-load-service-down", replace(held_up("reader-missing"), trouble="service"), focus="cancel"),
    loading(
        "card-load-put-back-question",
        held_up("put-back"),
        then=digits("BACK"),
        screen="question",
        focus="keep",
    ),
    loading("card-load-settling", held_up("settling")),
    *(
        loading(f"card-load-{word}", held_up(word), focus="cancel")
        for word in ("reader-missing", "removed-early", "not-readable", "no-cash", "declined-by-card")
    ),
    loading("card-load-cash-full", held_up("cash-full"), focus="amount"),
    loading("card-load-question", held_up("insert"), then=digits("BACK"), screen="question", focus="keep"),
    loading("card-load-cancelling", held_up("insert"), then=_cancel_load),
    loading("card-load-slow", held_up("insert"), then=_slow_load, focus="back"),
    loading("card-load-done", LOADED, focus="done"),
    loading("card-load-failed", not_loaded("over-limit"), focus="amount"),
    loading("card-load-failed-pin", replace(not_loaded("pin-refused"), card_in_slot=True), focus="again"),
    loading("card-load-failed-pin-last", not_loaded("pin-refused-last"), focus="done"),
    loading("card-load-failed-removed", not_loaded("card-removed"), focus="again"),
    loading(
        "card-load-unknown", replace(not_loaded("card-away", "unknown"), card_in_slot=True), focus="done"
    ),
    loading(
        "card-load-finding-out",
        replace(not_loaded("tsp-unreachable", "unknown"), card_in_slot=True),
        focus="done",
    ),
    loading("card-load-disputed", not_loaded("load-disputed", "unknown"), focus="done"),
    loading("card-load-failed-code", replace(not_loaded("box-storage"), card_in_slot=True), focus="done"),
    loading(
        "card-load-again", not_loaded("ppp-silent"), then=digits("OK"), screen="question", focus="not-now"
    ),
)


def _idle(tv: Television) -> None:
    tv.open("settings")
    tv.app.push(
        "question",
        sign="question",
        title=tv.app.t("Are you still there?"),
        text=tv.app.t("The home page opens by itself. Press any key to stay here."),
        options=(("stay", tv.app.t("Stay here")),),
        default="stay",
        countdown=20,
    )
    tv.show()
    tv.wait(3)


def _help_on_card(tv: Television) -> None:
    tv.open("card", order=data.ORDER)
    post(tv, *NORMAL)
    tv.press("INFO")


DIALOG_SCENES: tuple[PaymentScene, ...] = (
    PaymentScene("question-countdown", "question", _idle, focus="stay"),
    PaymentScene("help", "help", lambda tv: tv.press("INFO"), focus="close"),
    PaymentScene("help-card", "help", _help_on_card, focus="close", slot=Slot()),
    PaymentScene("card-tray", "card-tray", lambda tv: tv.press("BLUE"), focus="insert:good", slot=Slot()),
    PaymentScene(
        "card-tray-inside", "card-tray", lambda tv: tv.press("BLUE"), focus="pull", slot=Slot("expired")
    ),
    PaymentScene(
        "card-tray-testers",
        "card-tray",
        lambda tv: tv.press("BLUE", *["DOWN"] * 13),
        focus="insert:debit-sda",
        slot=Slot(
            "mine.toml",
            OwnCard("mine.toml", "a UnionPay debit card in order: online, with PIN"),
            OwnCard("worn.toml", "", "profile worn.toml: card: is missing"),
        ),
    ),
)


def _ordering(tv: Television) -> None:
    slot = Slot("debit")
    slot.faults, slot.happened = ("pull@80AE", "delay@3:2000", "word@00B2:6985"), ((4, "garbage@00A4"),)
    tv.app.slot = slot
    tv.press("BACK").open("card-lab-faults").ok("kind:5").press("2", "7")


def lab(name: str, *steps: Any, focus: str, then: Then | None = None, **answers: Any) -> PaymentScene:
    """A page of the card lab, of which there may be others above."""

    def act(tv: Television) -> None:
        tv.open("card-lab")
        post(tv, *steps)
        if then is not None:
            then(tv)

    screen = {"files": "card-lab-files", "trace": "card-lab-trace", "sessions": "card-lab-sessions"}
    screen["readers"] = "card-lab-readers"
    screen["faults"] = "card-lab-faults"
    part = name.removeprefix("card-lab-").partition("-")[0]
    return PaymentScene(name, screen.get(part, "card-lab"), act, answers, focus=focus)


def _down(count: int, *keys: str) -> Then:
    return lambda tv: tv.press("OK", *("DOWN",) * count, *keys)


INSERT, TAKEN = CardPrompt("insert"), CardPrompt("insert")
READING = (CardPrompt("reading"), CardReading(READER, seen("credit").trace.atr, 17))
KEPT = Kept("/var/lib/stb-pay/traces", "20261121T193200.trace")
LAB_SCENES: tuple[PaymentScene, ...] = (
    lab("card-lab", INSERT, focus="sessions"),
    lab("card-lab-reading", INSERT, seen("debit"), TAKEN, *READING, focus="sessions"),
    lab("card-lab-part", INSERT, *READING, pulled("credit"), CardPrompt("removed-early"), focus="files"),
    lab("card-lab-reader-in-use", CardPrompt("reader-missing", trouble="in-use"), focus="sessions"),
    lab("card-lab-reader-silent", CardPrompt("reader-missing", trouble="silent"), focus="sessions"),
    lab("card-lab-reader-missing", CardPrompt("reader-missing"), focus="sessions"),
    lab("card-lab-service-down", CardPrompt("reader-missing", trouble="service"), focus="sessions"),
    lab("card-lab-internal", Refused("internal", retryable=True), focus="again"),
    lab("card-lab-debit", INSERT, seen("debit"), focus="application:0"),
    lab("card-lab-cash-taken", INSERT, seen("electronic-cash"), TAKEN, focus="application:0"),
    lab("card-lab-not-proven", INSERT, seen("credit", ca=False), focus="application:0"),
    lab("card-lab-purse", INSERT, seen("good"), focus="purse"),
    lab(
        "card-lab-replayed",
        INSERT,
        replace(seen("debit"), recording="20261121T193200.trace"),
        focus="application:0",
    ),
    lab("card-lab-unknown", INSERT, seen("no-purse"), focus="commands"),
    lab("card-lab-files", INSERT, seen("electronic-cash"), focus="item:0", then=digits("OK")),
    lab("card-lab-files-failed", INSERT, seen("credit", ca=False), focus="item:0", then=digits("OK")),
    lab("card-lab-files-fci", INSERT, seen("electronic-cash"), focus="item:1", then=_down(1)),
    lab("card-lab-files-record", INSERT, seen("debit"), focus="item:6", then=_down(6)),
    lab("card-lab-files-long", INSERT, seen("debit"), focus="detail:8", then=_down(8, "OK", "DOWN")),
    lab("card-lab-files-purse", INSERT, seen("good"), focus="item:2", then=_down(2)),
    lab("card-lab-trace", INSERT, seen("no-purse"), focus="item:0", then=digits("OK")),
    lab("card-lab-trace-command", INSERT, seen("no-purse"), focus="item:2", then=_down(2)),
    lab(
        "card-lab-trace-saved",
        INSERT,
        seen("no-purse"),
        focus="item:0",
        then=digits("OK", "OK"),
        keep_trace=KEPT,
    ),
    lab(
        "card-lab-trace-unsaved",
        INSERT,
        seen("no-purse"),
        focus="item:0",
        then=digits("OK", "OK"),
        keep_trace=Refused("box-storage"),
    ),
    lab("card-lab-sessions", INSERT, focus="session:0", then=digits("OK"), traces=traces()),
    lab("card-lab-faults", INSERT, focus="place:number", then=_ordering),
    lab("card-lab-readers", INSERT, focus="reader:0", then=digits("DOWN", "OK"), readers=READERS),
    lab(
        "card-lab-readers-service-down",
        INSERT,
        focus="retry",
        then=digits("DOWN", "OK"),
        readers=Refused("reader-service-down", retryable=True),
    ),
    lab("card-lab-readers-none", INSERT, focus="retry", then=digits("DOWN", "OK"), readers=()),
    lab("card-lab-sessions-none", INSERT, focus="back", then=digits("OK")),
)
SCENES: tuple[PaymentScene, ...] = (
    *CARD_SCENES,
    *QR_SCENES,
    *RESULT_SCENES,
    *INQUIRY_SCENES,
    *LOAD_SCENES,
    *DIALOG_SCENES,
    *LAB_SCENES,
)
