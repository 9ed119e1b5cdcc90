"""One load of electronic cash of the records in full."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from screens.card_load_parts import SIGNS, account_words, end_of, ended_words, load_pill, to_be_asked
from screens.parts import button, known_hotline
from screens.record_parts import Pairs, record_page
from screens.words import amount_color
from stb_app.journeys import Load
from stb_app.kit.nodes import Grow, Node, Row, Space, Text
from stb_app.shell.page import Page
from stb_app.shell.running import Running
from stb_app.shell.words import full_moment, money

if TYPE_CHECKING:
    from stb_app.shell.app import App


class LoadRecordScreen(Page[None]):
    """What became of the money, in the words of the load's own page; where only the card knows, that it is wanted."""

    id = "load-record"

    def __init__(self, app: App, *, load: Load) -> None:
        super().__init__(app)
        self._load = load
        self._following: Running | None = None

    def on_enter(self) -> None:
        if not self._load.ended:
            self._following = self.app.start(self.app.verbs.follow_load(self._load), self._on_step)

    def on_leave(self) -> None:
        if self._following is not None:
            self._following.cancel()

    def _on_step(self, load: Load) -> None:
        # The card's part is only in the older copy when the TSP has not heard of it yet.
        self._load = replace(load, card=load.card or self._load.card)
        self.app.refresh()

    def crumbs(self) -> Sequence[str]:
        return (self.t("Payment records"), self._load.number)

    def state(self) -> dict[str, Any]:
        load = self._load
        return {
            "load": load.load,
            "number": load.number,
            "state": load.state,
            "money": load.money,
            "reason": load.reason,
            "amount_fen": load.amount_fen,
        }

    def on_ok(self, key: str) -> None:
        self.app.pop()

    def compose(self) -> Node:
        end = end_of(self._load)
        said = ended_words(end, self.t)
        title, sentences = said.title, []
        if end.outcome == "failed":
            title, _ = load_pill(end, self.t)
            sentences.append(Text(said.title, "body-bold"))
        if end.outcome != "loaded":
            sentences.append(Text(said.text, "body", "secondary"))
        if not self._load.ended:
            here = self.t("This changes here by itself as soon as we know.")
            sentences.append(Text(here, "body", "secondary"))
        if to_be_asked(end):
            sentences += [Text(line, "body", "secondary") for line in known_hotline(self.app)]
        ways = Row((Grow(button("back", self.t("Back"), "primary", None)), Space(grow=2)), gap=28)
        return record_page(
            SIGNS[end.outcome], title, account_words(end, self.t), sentences, self._pairs, ways
        )

    def _pairs(self, style: Literal["body", "small"]) -> Pairs:
        load, card = self._load, self._load.card
        bold: Literal["body-bold", "small"] = "body-bold" if style == "body" else style
        pairs: list[tuple[str, str | Text]] = [
            (self.t("Load amount"), Text(money(load.amount_fen), bold, amount_color(load.money)))
        ]
        # Two beside each other: the balances have a row of their own.
        if card is not None:
            pairs.append((self.t("Card number"), card.number))
            if card.balance_before_fen is not None:
                pairs.append((self.t("Before loading"), money(card.balance_before_fen)))
            if card.balance_after_fen is not None:
                # Where it is not settled what the card says is no balance after anything.
                loaded = end_of(load).outcome == "loaded"
                label = self.t("After loading") if loaded else self.t("Electronic cash on the card")
                pairs.append((label, money(card.balance_after_fen)))
        return (*pairs, (self.t("Load number"), load.number), (self.t("Time"), full_moment(load.time)))
