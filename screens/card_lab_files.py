"""Everything that a card has told, answer by answer, as trees of named data objects."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from screens.card_lab_parts import AUTHENTICITY, Browser, Item, answer, asked, card_kind, grouped, tree
from screens.problems import N_
from stb_app.journeys.card_lab import ApplicationFound, PurseFound, Told, bank_card, said
from stb_app.journeys.card_lab import Node as DataObject
from stb_app.kit.nodes import Column, Facts, Node, Text
from stb_app.shell.words import money

if TYPE_CHECKING:
    from stb_app.shell.app import App

MOST_NAMES = 6
MOST_LINES = 4
"""Why a certificate does not verify is a sentence: it is not read in a narrow column."""
HOLDER = {
    "none": N_("Not needed"),
    "online PIN": N_("PIN, checked by the issuer"),
    "offline PIN": N_("PIN, checked by the card"),
    "signature": N_("Signature"),
    "offline PIN and signature": N_("PIN, checked by the card, and signature"),
}


class CardLabFilesScreen(Browser):
    """What one part of a card has told, or all of it: ``part`` is an application, a purse, or answers."""

    id = "card-lab-files"

    def __init__(self, app: App, *, part: ApplicationFound | PurseFound | tuple[Told, ...]) -> None:
        super().__init__(app)
        self._part = part

    def crumbs(self) -> Sequence[str]:
        return (self.t("Card lab"), self._heading())

    def _heading(self) -> str:
        if isinstance(self._part, ApplicationFound):
            return self._part.label or grouped(self._part.aid)
        if isinstance(self._part, PurseFound):
            return self.t("Electronic purse")
        return self.t("All files and records")

    def items(self) -> Sequence[Item]:
        part = self._part
        told = part if isinstance(part, tuple) else part.told
        answers = [self._answer(one) for one in told]
        if isinstance(part, ApplicationFound):
            logs = [
                self._record(title.format(n=number), record)
                for title, records in (
                    (self.t("Transaction {n}"), part.log),
                    (self.t("Load {n}"), part.loads),
                )
                for number, record in enumerate(records, 1)
            ]
            return (
                Item(self.t("Overview"), grouped(part.aid), lambda: self._overview(part)),
                *logs,
                *answers,
            )
        if isinstance(part, PurseFound):
            return (Item(self.t("Overview"), part.number, lambda: self._purse(part)), *answers)
        return tuple(answers) or (
            Item(self.t("Nothing"), "", lambda: Text(self.t("The card has told nothing."))),
        )

    def _purse(self, part: PurseFound) -> Node:
        problem = (Text(said(part.log_problem, self.t), "small", "warning"),) if part.log_problem else ()
        pairs: tuple[tuple[str, str | Text], ...] = (
            (self.t("Card number"), Text(part.number, "small", wrap=False)),
            (self.t("On the card"), Text(money(part.balance_fen), "small", "money", wrap=False)),
            (self.t("Valid from"), Text(part.valid[0], "small")),
            (self.t("Valid until"), Text(part.valid[1], "small")),
            (self.t("Transactions in its log"), Text(str(part.log_records), "small")),
        )
        return Column(
            (Text(self.t("Purse card"), "heading"), Facts(pairs, gap=12, style="small"), *problem), gap=20
        )

    def _record(self, name: str, record: tuple[DataObject, ...]) -> Item:
        """One of a log: when and how much, so that it is found."""
        title = _when(record)
        return Item(
            title or name,
            name if title else "",
            lambda: Column((Text(name, "heading"), *tree(record, self.t)), gap=12),
        )

    def _answer(self, one: Told) -> Item:
        name = asked(one.asked, self.t)
        purse_record = _when(one.nodes) if one.nodes and not one.nodes[0].tag else ""
        title, line = (purse_record, name) if purse_record else (name, said(_names(one), self.t))
        return Item(title, line, lambda: answer(one, self.t))

    def _overview(self, part: ApplicationFound) -> Node:
        pairs: list[tuple[str, str | Text]] = [("AID", Text(grouped(part.aid), "small"))]
        if part.card:
            pairs.append((self.t("Card number"), Text(part.card, "small", wrap=False)))
        if part.authenticity is not None:
            word, tone = AUTHENTICITY[part.authenticity]
            words = f"{self.t(word)}: {part.failure}" if part.failure else self.t(word)
            pairs.append(
                (
                    self.t("Certificates"),
                    Text(said(words, self.t), "small", "text" if tone == "neutral" else tone),
                )
            )
        if part.holder:
            pairs.append(
                (
                    self.t("Cardholder verification"),
                    Text(self.t(HOLDER.get(part.holder, part.holder)), "small"),
                )
            )
        cash = part.cash
        for label, amount_fen in (
            (self.t("Electronic cash balance"), cash.balance_fen),
            (self.t("Most that may be on it"), cash.balance_limit_fen),
            (self.t("Most for one payment"), cash.transaction_limit_fen),
            (self.t("Goes online below"), cash.reset_threshold_fen),
        ):
            if amount_fen is not None:
                pairs.append((label, Text(money(amount_fen), "small", "money", wrap=False)))
        pairs.append((self.t("Transactions in its log"), Text(str(len(part.log)), "small")))
        if part.cash.balance_fen is not None:
            pairs.append((self.t("Loads in its log"), Text(str(len(part.loads)), "small")))
        counters = tuple(
            (said(one.name, self.t), Text(one.text or grouped(one.value), "small")) for one in part.counters
        )
        problem = (Text(said(part.problem, self.t), "small", "warning"),) if part.problem else ()
        kind = bank_card(part.aid)
        return Column(
            (
                Text(self.t(card_kind(kind)) if kind else self._heading(), "heading"),
                *problem,
                Facts(tuple(pairs), gap=12, style="small", most_lines=MOST_LINES),
                Text(self.t("Counters"), "body", "secondary"),
                Facts(counters, gap=12, style="small"),
            ),
            gap=20,
        )


def _when(record: Sequence[DataObject]) -> str:
    """Date, time and amount of a log's record, as far as it has them."""
    of = {one.tag or one.name: one.text or one.value for one in record}
    date = of.get("9A") or of.get("Date", "")
    time = of.get("9F21") or of.get("Time", "")
    amount = of.get("9F02") or of.get("Amount", "")
    if not amount and "9F79" in of:
        amount = " > ".join(one.text for one in record if one.tag == "9F79")
    when = f"{date} {time[:5]}".strip()
    return " · ".join(part for part in (when, f"¥{amount}" if amount else "") if part)


def _names(told: Told) -> str:
    """What an answer is, in a few words: its data object's name, the tags of those in it, or the values of one without tags."""
    inside = told.nodes
    if len(inside) == 1:
        inside = inside[0].children
        if not inside:
            return told.nodes[0].name
    words = [one.tag or one.value for one in inside]
    return ", ".join(words[:MOST_NAMES]) + (" ..." if len(words) > MOST_NAMES else "")
