"""Every page in every state worth looking at, by name: for `make shots` and for the tests that look at all of them.

A scene is a function that opens the page on a fresh television. Add one with ``@scene(answers...)``: the answers are those
of ``DummyVerbs``; ``offline=True`` is a television without a connection yet.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from screens.told import card_asked, loads_open, unsettled
from screens.words import sentences
from stb_app.journeys import Records
from stb_app.journeys.steps import CardAsked, Loading, Refused
from tests.screens import data
from tests.screens.dummies import DummyVerbs, Television

Act = Callable[[Television], Any]


@dataclass(frozen=True, slots=True)
class Scene:
    """One page in one state.

    Args:
        name: file name of its picture, ``SCREEN`` or ``SCREEN-STATE``.
        screen: id of the page that is then on top.
        act: what is done on a television that shows the home page.
        answers: what the verbs answer other than usual.
        offline: there are no verbs yet.
        focus: the target that has the focus then, ``{language}`` for the language's code; None for a page that is busy.
    """

    name: str
    screen: str
    act: Act
    answers: dict[str, Any] = field(default_factory=dict)
    offline: bool = False
    focus: str | None = None

    def play(
        self, language: str = "zh", text_scale: int = 100, size: tuple[int, int] = (1920, 1080)
    ) -> Television:
        """A television that shows it."""
        television = Television(
            None if self.offline else DummyVerbs(**self.answers), language, text_scale, size
        )
        self.act(television)
        return television


def opened(screen_id: str, **params: Any) -> Act:
    """Opens the page above home."""
    return lambda tv: tv.open(screen_id, **params)


def stay(tv: Television) -> None:
    """The home page itself."""


UNREACHABLE = Refused("tsp-unreachable", retryable=True)


def _order_refused(code: str, retryable: bool = False) -> dict[str, Any]:
    return {"order": Refused(code, retryable)}


def _run_out(tv: Television) -> None:
    tv.open("fee", order=data.SHORT).wait(31)


def _card_first(tv: Television) -> None:
    assert tv.verbs is not None
    tv.verbs.cards_wanted.add(data.REDUCED.service.service)
    tv.open("confirm", order=data.REDUCED, method=data.METHODS[1])


def _turned_away(tv: Television) -> None:
    assert tv.verbs is not None
    tv.verbs.answers["home"] = Refused("not-enrolled")
    tv.ok("settings").press("BACK")


def tell_longest(tv: Television) -> None:
    """The longest line that may stand below a page: of the service with the longest name, and a term of the longest."""
    longest = replace(data.OPEN_PAYMENT, service_name=data.LONGEST_NAME, term="quarterly", amount_fen=123450)
    longest = replace(longest, card_number="6217 00** **** **** 2047")
    payment = replace(longest, number="4C7F 1D55", time="2026-11-21T18:02:44+08:00")
    tv.app.notice(
        lambda: sentences(
            card_asked(CardAsked("other", (payment.card_number,)), tv.app.t),
            unsettled((payment,), tv.app.t, tv.app.say),
        )
    )
    tv.show()


def tell_load(tv: Television) -> None:
    """A load of electronic cash that only its card can explain."""
    tv.app.notice(lambda: loads_open((data.OPEN_LOAD,), tv.app.t))
    tv.show()


def ask_card(tv: Television) -> None:
    """The card that was missed is in the slot."""
    asked = CardAsked("asking", (data.OPEN_LOAD.card_number,))
    tv.app.notice(lambda: card_asked(asked, tv.app.t), "busy")
    tv.show()


SCENES: tuple[Scene, ...] = (
    Scene("home", "home", stay, focus="renew"),
    Scene("home-newcomer", "home", stay, {"home": data.NEWCOMER}, focus="browse"),
    Scene("home-uneven-months", "home", stay, {"home": data.UNEVEN}, focus="renew"),
    Scene("home-told", "home", tell_longest, focus="renew"),
    Scene("home-load-open", "home", tell_load, focus="renew"),
    Scene("home-card-asked", "home", ask_card, focus="renew"),
    Scene("home-offline-told", "home", tell_longest, {"home": UNREACHABLE}, focus="retry"),
    Scene("home-connecting", "home", stay, offline=True, focus="services"),
    Scene("home-offline", "home", stay, {"home": UNREACHABLE}, focus="retry"),
    Scene("home-box-suspended", "home", stay, {"home": Refused("box-suspended")}, focus="retry"),
    Scene("home-turned-away", "home", _turned_away, focus="settings"),
    Scene("services", "services", opened("services"), focus="service:movies"),
    Scene("services-loading", "services", opened("services"), {"services": Loading()}),
    Scene("services-empty", "services", opened("services"), {"services": ()}, focus="back"),
    Scene("services-refused", "services", opened("services"), {"services": UNREACHABLE}, focus="retry"),
    Scene("service", "service", opened("service", service="sports"), focus="term:monthly"),
    Scene(
        "service-chosen",
        "service",
        lambda tv: tv.open("service", service="sports").ok("term:yearly"),
        focus="order",
    ),
    Scene(
        "service-some-terms",
        "service",
        opened("service", service="sports"),
        {"service": data.SOME_REFUSED},
        focus="term:monthly",
    ),
    Scene(
        "service-no-terms",
        "service",
        opened("service", service="sports"),
        {"service": data.ALL_REFUSED},
        focus="other",
    ),
    Scene(
        "service-had-already",
        "service",
        opened("service", service="sports"),
        {"service": data.HAD_ALREADY},
        focus="other",
    ),
    Scene(
        "service-clash",
        "service",
        opened("service", service="sports"),
        {"service": data.CLASHING},
        focus="other",
    ),
    Scene(
        "service-ordering",
        "service",
        lambda tv: tv.open("service", service="sports").ok("order"),
        {"order": Loading()},
    ),
    Scene(
        "service-refused-arrears",
        "service",
        lambda tv: tv.open("service", service="sports").ok("order"),
        _order_refused("subscriber-in-arrears"),
        focus="terms",
    ),
    Scene(
        "service-refused-clash",
        "service",
        lambda tv: tv.open("service", service="sports").ok("order"),
        {"order": Refused("order-clash", facts={"clashes_with": data.MOVIES.name})},
        focus="other",
    ),
    Scene(
        "service-refused-boss",
        "service",
        lambda tv: tv.open("service", service="sports").ok("order"),
        _order_refused("boss-unreachable", True),
        focus="again",
    ),
    Scene("fee", "fee", opened("fee", order=data.ORDER), focus="continue"),
    Scene("fee-reduced", "fee", opened("fee", order=data.REDUCED), focus="continue"),
    Scene("fee-run-out", "fee", _run_out, focus="renew-quote"),
    Scene("payment-methods", "payment-methods", opened("payment-methods", order=data.ORDER), focus="card"),
    Scene(
        "payment-methods-one",
        "payment-methods",
        opened("payment-methods", order=data.ONE_METHOD),
        focus="card",
    ),
    Scene(
        "payment-methods-none",
        "payment-methods",
        opened("payment-methods", order=data.NO_METHOD),
        focus="back",
    ),
    Scene("confirm", "confirm", opened("confirm", order=data.ORDER, method=data.METHODS[0]), focus="cancel"),
    Scene(
        "confirm-wallet",
        "confirm",
        opened("confirm", order=data.REDUCED, method=data.METHODS[1]),
        focus="cancel",
    ),
    Scene("confirm-card-first", "confirm", _card_first, focus="cancel"),
    Scene("records", "records", opened("records"), focus="record:p4c7f20a1"),
    Scene("records-empty", "records", opened("records"), {"records": data.NO_RECORDS}, focus="services"),
    Scene(
        "records-elsewhere",
        "records",
        opened("records"),
        {"records": Records((), data.EARLIER)},
        focus="earlier:0",
    ),
    Scene(
        "records-elsewhere-below",
        "records",
        lambda tv: tv.open("records").press(*["DOWN"] * (len(data.RECORDS) + len(data.LOADS) + 1)),
        focus="earlier:1",
    ),
    Scene(
        "records-elsewhere-silent",
        "records",
        opened("records"),
        {"records": Records(data.RECORDS, None)},
        focus="record:p4c7f20a1",
    ),
    Scene(
        "records-nothing-told",
        "records",
        opened("records"),
        {"records": Records((), None)},
        focus="services",
    ),
    Scene("records-loading", "records", opened("records"), {"records": Loading()}),
    Scene("record", "record", opened("record", payment=data.RECORDS[0]), focus="back"),
    Scene(
        "record-opened-by-operator",
        "record",
        opened("record", payment=replace(data.BY_KIND[2], reason="opened-by-operator")),
        focus="back",
    ),
    Scene(
        "records-by-kind",
        "records",
        opened("records"),
        {"records": Records(data.BY_KIND, ())},
        focus="record:pdebit",
    ),
    Scene("record-electronic-cash", "record", opened("record", payment=data.BY_KIND[2]), focus="back"),
    Scene("record-debit", "record", opened("record", payment=data.BY_KIND[0]), focus="back"),
    Scene("record-unknown", "record", opened("record", payment=data.RECORDS[1]), focus="back"),
    Scene("record-failed", "record", opened("record", payment=data.RECORDS[4]), focus="back"),
    *(
        Scene(f"load-record-{name}", "load-record", opened("load-record", load=load), focus="back")
        for name, load in zip(("loaded", "unknown", "failed", "disputed"), data.LOADS, strict=True)
    ),
    Scene("settings", "settings", opened("settings"), focus="language:{language}"),
    Scene("about", "about", opened("about"), focus="back"),
    Scene("calibration", "calibration", opened("calibration"), focus="keep"),
)
