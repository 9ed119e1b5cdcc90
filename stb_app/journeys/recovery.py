"""Settling what earlier payments left open: after a power cut, after a night without a network, when a card comes back."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from datetime import datetime

from cardreader.emv.settings import TerminalSettings
from cardreader.errors import (
    ApplicationNotFound,
    CardReaderError,
    CardRemoved,
    CardTimeout,
    ReaderUnavailable,
)
from cardreader.purse import Purse
from cardreader.reader import Connection, Reader
from stb_app.journeys.bank_card import recognised
from stb_app.journeys.card_slot import GLANCE_S, BadCard
from stb_app.journeys.electronic_cash import deliver_standing
from stb_app.journeys.memory import Memory, OpenLoad, OpenPayment
from stb_app.journeys.open_loads import OpenLoads
from stb_app.journeys.settling import OPENING, end_told, send_proof, settle_with_card
from stb_app.journeys.steps import (
    AskedState,
    CardAsked,
    CardWanted,
    CodesOpen,
    Finished,
    LoadsOpen,
    LoadTold,
    Unheard,
    finished,
)
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Payment
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)

FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 60.0
OPENING_PAUSE_S = 10.0
"""The same while a subscriber waits for a service that is paid."""
POWER_UP_S = 1.0
DECIDED_S = 600.0
"""How often the TSP is asked whether a person has decided about a payment that its card has not explained."""
LAST_LOOK_S = 180.0
"""For so long after a code was closed, or the television was switched on, money may come late. The TSP asks the wallet again
after a minute."""

RecoveryStep = Finished | CardAsked | CardWanted | CodesOpen | Unheard | LoadsOpen | LoadTold


class Recovery:
    """Runs as long as the television does, and works on cards whenever no other journey has the card slot.

    Posts a Finished for every payment that it could bring to its end or whose end it has heard, CardWanted or CodesOpen
    whenever other payments than before can only be explained by their card, or have a code and no end, and Unheard whenever
    the TSP says nothing about other ones than before: it is silent, or turns this box away. Of loads of electronic cash it posts
    LoadsOpen whenever others than before have no end yet, and a LoadTold for every end. Of a card that is put in while one is
    wanted it posts a CardAsked, whenever that is another than before.

    Args:
        alone: held by whoever uses the card slot and the payments that are open on it.
        terminal, now: this box and its time, for debit and credit cards.
    """

    def __init__(
        self, client: TspClient, reader: Reader, memory: Memory, waits: Waits, alone: threading.Lock,
        terminal: Callable[[], TerminalSettings], now: Callable[[], datetime],
    ) -> None:  # fmt: skip
        self._client = client
        self._reader = reader
        self._memory = memory
        self._waits = waits
        self._alone = alone
        self._terminal = terminal
        self._now = now
        self._cancel = threading.Event()
        self._wake = threading.Event()
        self._wanted: tuple[OpenPayment, ...] = ()
        self._codes: Mapping[str, str | None] = {}
        self._last_look: dict[str, float] = {}
        """Payments whose code is closed -> when nobody asks about them any more."""
        self._loads = OpenLoads(client, memory, waits)
        self._loads_open: tuple[OpenLoad, ...] = ()
        self._asked = False
        self._card = CardAsked("gone")
        self._telling = threading.Lock()
        self._undecided: dict[str, float] = {}
        """Payments that only their card can explain, unless a person decides -> when the TSP is asked again."""
        self._silent: set[str] = set()
        """Payments about which the TSP did not answer when it was last told or asked, or had not a word for this box."""
        self._unheard: tuple[OpenPayment, ...] = ()
        self._open: dict[str, Payment | None] = {}
        """Payments by code that had no end when they were asked about last, or of which the TSP did not tell, as it last did."""
        self._said: dict[str, tuple[str, str | None]] = {}
        """Payments -> the state and reason that were told of them."""

    def run(self, post: Callable[[RecoveryStep], None]) -> None:
        pause = FIRST_PAUSE_S
        self._find_ended()
        # What is told must be true at once when a journey has settled it, also while this sleeps.
        self._memory.changed = lambda: self._tell(post)
        self._client.came_back = self._memory.left = self._wake.set
        self._tell(post)
        while True:
            if self._waits.pause(pause, self._wake):
                # Whatever was asked: a TSP that answers again can be told everything now, and asked what it knows.
                self._wake.clear()
                self._loads.look_now()
                self._undecided.clear()
                pause = FIRST_PAUSE_S
            if self._cancel.is_set():
                return
            ends: list[RecoveryStep] = []
            done = self._follow_codes(ends.append)
            done = self._follow_closed(ends.append) and done
            alone = self._alone.acquire(blocking=False)
            if alone:
                try:
                    done = self._deliver() and self._ask_card(post) and self._find_ended() and done
                finally:
                    self._alone.release()
            done = self._tell_untold(ends.append) and done
            done = self._loads.follow(ends.append) and done
            self._tell(post)
            for end in ends:
                post(end)
            if alone:
                # Of what has just been told more is soon to be known.
                pause = FIRST_PAUSE_S if done or ends else min(pause * 2, self._longest_pause())

    def cancel(self) -> None:
        self._cancel.set()
        self._wake.set()

    def _longest_pause(self) -> float:
        """Seconds."""
        remembered = (*self._memory.untold(), *self._memory.open_codes())
        opening = any(self._said.get(payment) == OPENING for payment in remembered)
        return OPENING_PAUSE_S if opening else LONGEST_PAUSE_S

    def _tell(self, post: Callable[[RecoveryStep], None]) -> None:
        with self._telling:
            unproven = self._memory.asked_for()
            codes = {p: self._open[p] for p in self._memory.open_codes() if p in self._open}
            money = {payment: None if told is None else told.money for payment, told in codes.items()}
            if unproven != self._wanted:
                self._wanted = unproven
                post(CardWanted(unproven))
            if money != self._codes:
                self._codes = money
                post(CodesOpen(tuple(codes.values())))
            unheard = tuple(
                record
                for record in self._memory.all()
                if record.payment in self._silent and not self._memory.is_looked_at(record.payment)
            )
            if unheard != self._unheard:
                self._unheard = unheard
                post(Unheard(unheard))
            loads = self._memory.open_loads()
            if loads != self._loads_open:
                self._loads_open = loads
                post(LoadsOpen(loads))

    def _find_ended(self) -> bool:
        """After a power cut, or where its answers were lost, the box does not know what the TSP has acknowledged: nobody is
        asked for a card in vain. A payment of which the TSP does not know either is its card's. False: ask again later.
        """
        done = True
        for payment in self._memory.unproven():
            if self._waits.monotonic() < self._undecided.get(payment, 0.0):
                continue
            try:
                told = self._client.payment(payment)
            except Problem as problem:
                log.warning("asking for payment %s: %s", payment, problem.code)
                self._heard(payment, problem.code == "not-found")
                if problem.code == "not-found":
                    self._undecided[payment] = self._waits.monotonic() + DECIDED_S
                else:
                    done = False
                continue
            self._heard(payment)
            if finished(told).outcome != "pending" or told.money == "taken":
                self._memory.settled(payment)
            else:
                self._undecided[payment] = self._waits.monotonic() + DECIDED_S
        return done

    def _heard(self, payment: str, answered: bool = True) -> None:
        (self._silent.discard if answered else self._silent.add)(payment)

    def _tell_untold(self, post: Callable[[Finished], None]) -> bool:
        """Tells how payments by card have ended whose end was on no screen; of one whose service is being switched on also how
        that ends. False when the TSP has to be asked again.
        """
        done = True
        for payment in self._memory.untold():
            try:
                told = self._client.payment(payment)
            except Problem as problem:
                log.warning("asking for payment %s: %s", payment, problem.code)
                done = False
                continue
            end = finished(told)
            if end.outcome == "pending" and end.money == "not-taken":
                # MAC1 has never left the TSP, which closes the payment by itself.
                done = False
                continue
            done = self._say(told, post) and done
        return done

    def _follow_codes(self, post: Callable[[Finished], None]) -> bool:
        """Asks how the payments stand whose code was left. False when one will not have an end within moments."""
        done = True
        for payment in self._memory.open_codes():
            if self._memory.is_unwanted(payment):
                self._cancel_code(payment)
            try:
                told = self._client.payment(payment)
            except Problem as problem:
                log.warning("asking for payment %s: %s", payment, problem.code)
                if problem.code == "not-found":
                    # Another platform, or one that has lost its memory: it will never tell.
                    self._memory.forget_code(payment)
                else:
                    self._open.setdefault(payment)
                done = False
                continue
            end = finished(told)
            if end.outcome == "pending" and end.money != "taken":
                self._open[payment] = told
                done = done and end.money == "not-taken"
                continue
            self._open.pop(payment, None)
            done = self._say(told, post) and done
        return done

    def _cancel_code(self, payment: str) -> None:
        """Tells what was chosen while nobody answered. How it ends, and whether the phone was quicker, is asked for next."""
        try:
            self._client.cancel(payment, f"cancel-{payment}")
        except Problem as problem:
            log.warning("cancelling payment %s: %s", payment, problem.code)

    def _say(self, told: Payment, post: Callable[[Finished], None]) -> bool:
        """Tells how a payment stands whose money is known of, once. False: it has no end yet, ask again later."""
        end, word = finished(told), (told.state, told.reason)
        if self._said.get(told.payment) != word:
            self._said[told.payment] = word
            post(end)
        end_told(self._memory, told)
        return end.outcome != "pending"

    def _follow_closed(self, post: Callable[[Finished], None]) -> bool:
        """Asks after payments whose code was closed and may have been paid all the same. False while money is on its way back."""
        done = True
        for payment, told in self._memory.closed_codes().items():
            until = self._last_look.setdefault(payment, self._waits.monotonic() + LAST_LOOK_S)
            try:
                now = self._client.payment(payment)
            except Problem as problem:
                log.warning("asking for payment %s: %s", payment, problem.code)
                if problem.code == "not-found":
                    self._memory.forget_code(payment)
                done = False
                continue
            if now.state != told or now.money == "returned":
                end_told(self._memory, now)
                post(finished(now))
            elif now.state == "late":
                # It goes back, however long that takes.
                done = False
            elif self._waits.monotonic() >= until:
                self._memory.forget_code(payment)
        return done

    def _deliver(self) -> bool:
        """Sends the proofs that are here. False when one has to be sent again."""
        done = True
        for record in self._memory.proven():
            try:
                send_proof(self._client, self._memory, record)
            except Problem as problem:
                log.warning("the proof of payment %s: %s", record.payment, problem.code)
                kept = self._memory.is_proven(record.payment)
                self._heard(record.payment, not kept)
                done = done and not kept
        return done

    def _swapped(self) -> bool:
        """Whether another card is in the slot than was asked, which was never seen empty: a quick hand, or a tester's."""
        try:
            self._reader.wait_for_removal(GLANCE_S, self._cancel)
        except CardTimeout:
            return False
        return True

    def _ask_card(self, post: Callable[[CardAsked], None]) -> bool:
        """Asks a card that is in the slot whether it still has a payment to explain; each card once. False: ask again later."""
        wanted = bool(self._memory.unproven()) or self._memory.waits_for_cash()
        if not wanted and self._card.state != "told":
            self._say_of_card("gone", (), post)
            return True
        missed = self._memory.missed_cards()
        try:
            if not self._reader.card_present():
                self._asked = False
                self._say_of_card("gone", (), post)
                return True
            if not wanted or (self._asked and not self._swapped()):
                return True
            self._say_of_card("asking", missed, post)
            connection = self._reader.wait_for_card(POWER_UP_S, self._cancel)
            try:
                self._asked = True
                self._settle(connection)
            finally:
                connection.close()
        except (CardReaderError, BadCard) as error:
            log.info("the card in the slot cannot be asked: %s", error)
            out = isinstance(error, CardRemoved | ReaderUnavailable)
            self._say_of_card("gone" if out else "not-readable", missed, post)
        except Problem as problem:
            log.warning("an earlier payment stays open: %s", problem.code)
            self._asked = False
            if self._memory.missed_cards() != missed:  # the card has told all the same
                self._say_of_card("told", missed, post)
            return False
        else:
            told = self._memory.missed_cards() != missed
            self._say_of_card("told" if told else "other", missed, post)
        return True

    def _say_of_card(
        self, state: AskedState, wanted: tuple[str, ...], post: Callable[[CardAsked], None]
    ) -> None:
        """Posts it unless it is what was said last. Where no card is asked for nothing is said."""
        said = CardAsked(state, wanted) if wanted else CardAsked("gone")
        if state == "gone":
            said = CardAsked("gone")
        if said != self._card:
            self._card = said
            post(said)

    def _settle(self, connection: Connection) -> None:
        """Has a card tell of the payment that waits for it, if one does. Raises CardReaderError, BadCard, Problem."""
        try:
            purse = Purse(connection)
        except ApplicationNotFound:
            found = None
            if self._memory.waits_for_cash():
                found = recognised(connection, self._terminal(), self._memory, self._now())
            record = None if found is None else self._memory.of_card(found[1])
            if found is not None and (load := self._memory.load_of(found[1])) is not None:
                self._loads.settle(load, found[0])
            if found is not None and record is not None:
                deliver_standing(self._client, self._memory, self._waits, record, found[0], self._cancel)
            return
        record = self._memory.of_card(self._memory.card_id(purse.information.application_serial))
        if record is not None:
            settle_with_card(self._client, self._memory, self._waits, record, purse, self._cancel)
