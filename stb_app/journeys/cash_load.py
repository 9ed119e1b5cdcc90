"""Loading electronic cash onto a card from its own account: PIN, the issuer's word, its script, and what the card has done.

The box writes to its disk before the issuer is asked. What became of the script only the card knows: its last word, its
balance (9F79) or its load log. A card that leaves before is asked for again, and tells whenever it is put in.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import TypeVar

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Online
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.errors import Cancelled, CardRemoved, ProtocolError, StatusError
from cardreader.reader import Connection, Reader
from cardreader.secret import Pin
from stb_app.journeys.asking import patiently
from stb_app.journeys.bank_card import name_of, open_debit_credit, recognised
from stb_app.journeys.card_slot import BadCard, CardSlot, NobodyCame
from stb_app.journeys.electronic_cash import deliver_standing
from stb_app.journeys.following import LOAD_FOLLOWED_S, LOAD_LOOK_S
from stb_app.journeys.issuer_talk import TELLING_S, counted, first_word, last_word, until_answered
from stb_app.journeys.memory import Memory, OpenLoad
from stb_app.journeys.open_loads import COUNTER, hear, look, tell, told
from stb_app.journeys.settling import PATIENT_PAUSES_S
from stb_app.journeys.steps import CardPrompt, LoadEnded, LoadOutcome, LoadStep, Prompt
from stb_app.journeys.waiting import Waits
from stb_app.tsp import envelope
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Load
from stb_app.tsp.problem import Money, Problem

log = logging.getLogger(__name__)
T = TypeVar("T")

CARD_WAIT_S = 180.0
LOOK_S = 1.0


class CashLoad:
    """One load of one card. Ends with LoadEnded.

    Args:
        alone: held by whoever uses the card slot and the payments that are open on it.
        terminal, now: this box and its time.
    """

    def __init__(
        self, client: TspClient, reader: Reader, memory: Memory, waits: Waits, make_key: Callable[[], str],
        now: Callable[[], datetime], alone: threading.Lock, terminal: Callable[[], TerminalSettings], amount_fen: int,
    ) -> None:  # fmt: skip
        self._client = client
        self._reader = reader
        self._memory = memory
        self._waits = waits
        self._make_key = make_key
        self._now = now
        self._alone = alone
        self._terminal = terminal
        self._amount_fen = amount_fen
        self._cancel = threading.Event()
        self._slot: CardSlot
        self._record: OpenLoad | None = None
        """Once the issuer is asked."""
        self._load_number = ""

    def run(self, post: Callable[[LoadStep], None]) -> None:
        self._slot = CardSlot(self._reader, self._waits, self._cancel, post, self._alone)
        try:
            with self._slot.mine(self._about("starting")):
                end = self._load()
        except Cancelled:
            end = self._ended("failed", "cancelled")
        except NobodyCame:
            end = self._ended("failed", "card-wait-expired")
        except Problem as problem:
            end = self._ended("failed", problem.code)
        except Exception:
            log.exception("load of electronic cash")
            end = self._ended("unknown", "internal")
        log.info("the load ends: %s", end.outcome)
        post(replace(end, card_in_slot=self._slot.card_present()))
        if self._record is not None:
            if end.outcome == "unknown":
                self._follow(self._record.load, post)
            self._memory.look_away(self._record.load)

    def enter_pin(self, pin: Pin) -> None:
        """For the card's issuer."""
        self._slot.enter_pin(pin)

    def cancel(self) -> None:
        """Before the issuer is asked: nothing happens. Afterwards: what the card has done is told when it is next seen."""
        self._cancel.set()

    def _load(self) -> LoadEnded:
        load: Load | None = None
        prompt = self._about("insert")
        while True:
            connection = self._slot.wait_for_card(prompt, CARD_WAIT_S)
            try:
                self._slot.say(self._about("reading"))
                card = self._card(connection)
                if load is None:
                    load = self._ask(partial(self._client.begin_load, self._amount_fen, self._make_key()))
                    self._load_number = load.number
                return self._with_card(card, load)
            except BadCard as bad:
                self._slot.say(replace(bad.prompt, amount_fen=self._amount_fen))
                self._slot.wait_for_removal(CARD_WAIT_S)
                prompt = self._about("insert")
            except CardRemoved:
                prompt = self._about("removed-early")
            finally:
                connection.close()

    def _card(self, connection: Connection) -> DebitCredit:
        """A card that electronic cash can come onto. Raises BadCard, CardRemoved."""
        card = open_debit_credit(connection, self._terminal())
        try:
            held = None if card is None else card.electronic_cash()
        except (StatusError, ProtocolError) as error:
            raise BadCard(self._about("not-readable")) from error
        if card is None or held is None or held.balance_fen is None:
            raise BadCard(self._about("no-cash"))
        if (
            held.balance_limit_fen is not None
            and held.balance_fen + self._amount_fen > held.balance_limit_fen
        ):
            raise BadCard(replace(self._about("cash-full"), balance_fen=held.balance_fen))
        return card

    def _with_card(self, card: DebitCredit, load: Load) -> LoadEnded:
        """Raises BadCard, CardRemoved, Problem, Cancelled: nothing has been asked for."""
        key = self._ask(self._client.card_key)
        transaction = Transaction(self._amount_fen, self._now(), 1, TransactionType.LOAD)
        about = self._about("reading")
        try:
            before = card.electronic_cash().balance_fen or 0
            about = replace(about, balance_fen=before)
            prepared = card.prepare(transaction)
            name = name_of(card, self._memory)
            earlier = self._memory.load_of(name)
            if earlier is not None:
                # What it says later is no word about that one any more.
                hear(self._memory, earlier, card, None)
            self._settle_payment(card, name)
            first, pin, about = first_word(self._slot, card, prepared, about)
            data = envelope.CardData.of(card.objects)
            record = OpenLoad(
                load.load, name, int.from_bytes(card.get_data(COUNTER) or b""),
                self._make_key(), self._client.correlation, self._amount_fen, self._now().isoformat(), about.number,
            )  # fmt: skip
        except (StatusError, ProtocolError) as error:
            raise BadCard(replace(about, prompt="not-readable")) from error
        if not isinstance(first, Online):
            raise BadCard(replace(about, prompt="declined-by-card"))
        sealed = envelope.seal(key, load.load, data, pin)
        self._slot.say(replace(about, prompt="processing"))
        self._remember(record)
        asked = self._make_key()
        try:
            said = until_answered(
                self._waits,
                lambda: self._client.authorise_load(load.load, sealed, first.coded, before, asked),
            )
        except Problem as problem:
            if problem.unanswered or problem.money == "unknown":
                # The card has heard nothing: the platform is told so, and undoes what it may have had booked.
                self._memory.explain_load(record.explained(before, logged=False, chip=None))
                return self._ended("unknown", problem.code)
            self._memory.forget_load(load.load)
            return self._ended("failed", problem.code)
        reason = counted(self._memory, card, pin, said.response_code, said.load.reason)
        final = last_word(card, said.response_code, said.chip)
        if said.load.state == "failed" or said.response_code is None:
            self._memory.explain_load(record.explained(before, logged=False, chip=None))
            self._memory.acknowledge_load(load.load)
            return self._told(self._until_known(replace(said.load, reason=reason)))
        return self._tell(record, card, None if final is None else final.coded)

    def _settle_payment(self, card: DebitCredit, name: str) -> None:
        """A payment that this card may have made is explained first: its balance will not tell of it any more. Raises Problem."""
        record = self._memory.of_card(name)
        if record is None:
            return
        self._slot.say(self._about("settling"))
        try:
            deliver_standing(
                self._client, self._memory, self._waits, record, card, self._cancel, PATIENT_PAUSES_S
            )
        except Problem as problem:
            if self._memory.wants_card(record.payment):
                raise
            log.warning("earlier payment %s: %s", record.payment, problem.code)

    def _tell(self, record: OpenLoad, card: DebitCredit, chip: bytes | None) -> LoadEnded:
        """What the card has done; it is asked for again when it has gone."""
        self._cancel.clear()
        try:
            said = hear(self._memory, record, card, chip)
        except (CardRemoved, StatusError, ProtocolError):
            return self._ask_back(record)
        return self._told_by_card(said)

    def _told_by_card(self, said: OpenLoad) -> LoadEnded:
        try:
            load = until_answered(self._waits, partial(tell, self._client, self._memory, said))
        except Problem as problem:
            return self._ended("unknown", problem.code)
        return self._told(self._until_known(load))

    def _ask_back(self, record: OpenLoad) -> LoadEnded:
        """The card went before it had said what it has done: only the same one can tell."""
        prompt = replace(self._about("put-back"), number=record.card_number)
        while True:
            try:
                connection = self._slot.wait_for_card(prompt, CARD_WAIT_S)
            except (Cancelled, NobodyCame):
                return self._ended("unknown", "card-away")
            try:
                self._slot.say(replace(prompt, prompt="settling"))
                found = recognised(connection, self._terminal(), self._memory, self._now())
                if found is None or found[1] != record.card:
                    raise BadCard(replace(prompt, prompt="other-card"))
                return self._told_by_card(hear(self._memory, record, found[0], None))
            except CardRemoved:
                continue
            except (BadCard, StatusError, ProtocolError):
                self._slot.say(replace(prompt, prompt="other-card"))
                try:
                    self._slot.wait_for_removal(CARD_WAIT_S)
                except Cancelled:
                    return self._ended("unknown", "card-away")
            finally:
                connection.close()

    def _until_known(self, load: Load) -> Load:
        """Waits while what the issuer may have booked is undone."""
        until = self._waits.monotonic() + TELLING_S
        while not load.ended and self._waits.monotonic() < until:
            if self._waits.pause(LOOK_S, self._cancel):
                break
            try:
                load = self._client.load(load.load)
            except Problem as problem:
                log.warning("asking for load %s: %s", load.load, problem.code)
        return load

    def _remember(self, record: OpenLoad) -> None:
        """From now on the card may be loaded: it tells so also after a power cut. Raises Problem ``box-storage``."""
        self._record = record
        self._memory.look_at(record.load)
        try:
            self._memory.keep_load(record)
        except OSError as error:
            log.warning("the box cannot write its memory: %s", error)
            raise Problem("box-storage") from error

    def _ask(self, question: Callable[[], T]) -> T:
        """Asks the TSP what moves no money. Raises Problem, Cancelled."""
        return patiently(
            question, self._waits, self._cancel, lambda: self._slot.say(self._about("reconnecting"))
        )

    def _follow(self, load: str, post: Callable[[LoadStep], None]) -> None:
        """Until its page is left: what becomes known is told there."""
        until = self._waits.monotonic() + LOAD_FOLLOWED_S
        while self._waits.monotonic() < until and not self._waits.pause(LOAD_LOOK_S, self._cancel):
            record = self._memory.load(load)
            if record is None:
                return
            try:
                now = look(self._client, self._memory, record)
            except Problem as problem:
                log.warning("load %s: %s", load, problem.code)
                continue
            if now.ended:
                post(replace(self._told(now), card_in_slot=self._slot.card_present()))
                return

    def _told(self, load: Load) -> LoadEnded:
        """How it stands. An end is told by the page: nothing of it need be remembered."""
        record = self._memory.load(load.load)
        if load.ended and record is not None:
            told(self._memory, record, load)
        outcomes: dict[Money, LoadOutcome] = {"taken": "loaded", "not-taken": "failed"}
        after = load.card.balance_after_fen if load.card is not None else None
        return replace(self._ended(outcomes.get(load.money, "unknown"), load.reason), balance_fen=after)

    def _ended(self, outcome: LoadOutcome, reason: str | None) -> LoadEnded:
        record = self._record
        number = "" if record is None else record.card_number
        return LoadEnded(outcome, reason, self._amount_fen, number, None, load_number=self._load_number)

    def _about(self, prompt: Prompt) -> CardPrompt:
        return CardPrompt(prompt, amount_fen=self._amount_fen)
