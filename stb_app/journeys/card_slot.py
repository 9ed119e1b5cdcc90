"""The card slot as journeys use it: wait for a card, read its purse, ask for the PIN, wait until it is taken."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import date

from cardreader.errors import (
    ApplicationBlocked,
    ApplicationNotFound,
    Cancelled,
    CardRemoved,
    CardTimeout,
    PinBlocked,
    PinWrong,
    ProtocolError,
    ReaderInUse,
    ReaderSilent,
    ReaderUnavailable,
    ServiceUnavailable,
    StatusError,
)  # fmt: skip
from cardreader.purse import Purse
from cardreader.reader import Connection, Reader
from cardreader.secret import CardNumber, Pin
from stb_app.journeys.steps import CardPrompt, Prompt, ReaderTrouble
from stb_app.journeys.waiting import Waits
from stb_app.tsp.card_verbs import CardFacts

READER_RETRY_S = 1.0
GLANCE_S = 0.25
"""How often a waiting journey looks whether the card is still there."""
GLIMPSE_S = 0.001
"""As good as no wait: whether the card has left already."""
SLICE_S = 5.0


class BadCard(Exception):
    """This card cannot be used here; ``prompt`` says why and what to do."""

    def __init__(self, prompt: CardPrompt) -> None:
        super().__init__(prompt.prompt)
        self.prompt = prompt


class NobodyCame(Exception):
    """No card was put in for as long as we wait."""


class CardSlot:
    """One journey's use of the reader.

    Args:
        cancel: set when the subscriber leaves; every wait then raises Cancelled.
        alone: held by whoever uses the slot and the payments that are open on it.
        post: where prompts go. The same prompt is never posted twice in a row.
    """

    def __init__(
        self,
        reader: Reader,
        waits: Waits,
        cancel: threading.Event,
        post: Callable[[CardPrompt], None],
        alone: threading.Lock,
    ) -> None:
        self._reader = reader
        self._waits = waits
        self._cancel = cancel
        self._post = post
        self._alone = alone
        self._last: CardPrompt | None = None
        self.lost: ReaderTrouble | None = None
        """Why the reader was not there while a card was waited for; None as long as it always was."""
        self._pins: queue.SimpleQueue[Pin] = queue.SimpleQueue()
        self._typed = threading.Event()
        self._agreed = threading.Event()

    @contextmanager
    def mine(self, meanwhile: CardPrompt) -> Iterator[None]:
        """Nobody else uses the slot as long as this lasts. Raises Cancelled when the subscriber leaves while waiting for it.

        Args:
            meanwhile: what is said as long as somebody else has it.
        """
        while not self._alone.acquire(blocking=False):
            self.say(meanwhile)
            if self._waits.pause(GLANCE_S, self._cancel):
                raise Cancelled
        try:
            yield
        finally:
            self._alone.release()

    def say(self, prompt: CardPrompt) -> None:
        """Posts a prompt unless it is what is on the screen already."""
        if prompt != self._last:
            self._last = prompt
            self._post(prompt)

    def enter_pin(self, pin: Pin) -> None:
        """The subscriber's PIN, from the drawing thread. It goes to the card and nowhere else."""
        self._pins.put(pin)
        self._typed.set()

    def agree(self) -> None:
        """The subscriber's word at ``confirm-cash``, from the drawing thread."""
        self._agreed.set()

    def wait_for_card(self, prompt: CardPrompt, within_s: float) -> Connection:
        """Waits for a card; a reader that is missing is said and waited for too.

        Raises:
            NobodyCame: after ``within_s`` seconds.
            Cancelled: the subscriber left.
        """
        until = self._waits.monotonic() + within_s
        while (left := until - self._waits.monotonic()) > 0:
            try:
                if not self._reader.card_present():
                    self.say(prompt)
                return self._reader.wait_for_card(min(SLICE_S, left), self._cancel)
            except CardTimeout:
                continue
            except CardRemoved:
                continue
            except ReaderUnavailable as gone:
                # Once a card may have debited, a missing reader is no reason to pay in another way.
                trouble = _trouble(gone)
                if trouble != "in-use" and self.lost != "service":  # without its service no reader is there
                    self.lost = trouble
                if prompt.prompt == "removed-early":
                    # Nobody took the card out: it left with the reader.
                    prompt = replace(prompt, prompt="insert")
                missing: Prompt = "reader-away" if prompt.prompt == "put-back" else "reader-missing"
                self.say(replace(prompt, prompt=missing, trouble=trouble))
                if self._waits.pause(READER_RETRY_S, self._cancel):
                    raise Cancelled from None
        raise NobodyCame

    def wait_for_removal(self, within_s: float, until: threading.Event | None = None) -> bool:
        """Waits until the slot is empty. True when it is, False when the time is up or ``until`` was set; Cancelled when the subscriber leaves."""
        try:
            self._reader.wait_for_removal(within_s, until or self._cancel)
        except CardTimeout:
            return False
        except Cancelled:
            if until is not None:
                return False
            raise
        except ReaderUnavailable:
            return True
        return True

    def card_present(self) -> bool:
        """Whether a card is in; False when the reader itself is gone."""
        try:
            return self._reader.card_present()
        except ReaderUnavailable:
            return False

    def open_purse(self, connection: Connection) -> tuple[Purse, CardFacts]:
        """Selects the purse and reads what everybody may know of it.

        Raises:
            BadCard: no purse, blocked, or bytes that make no sense.
            CardRemoved: it was pulled.
        """
        try:
            purse = Purse(connection)
            information = purse.information
            facts = CardFacts(
                information.issuer_id, CardNumber(information.application_serial), information.application_type,
                f"{information.start_date:%Y%m%d}", f"{information.expiry_date:%Y%m%d}", purse.balance_fen(),
            )  # fmt: skip
        except ApplicationNotFound as error:
            raise BadCard(CardPrompt("no-purse")) from error
        except ApplicationBlocked as error:
            raise BadCard(CardPrompt("blocked")) from error
        except (StatusError, ProtocolError) as error:
            raise BadCard(CardPrompt("not-readable")) from error
        return purse, facts

    def ask_pin(self, purse: Purse, about: CardPrompt) -> None:
        """Asks until the card accepts the PIN.

        Args:
            about: number, balance and amount to show beside the PIN.

        Raises:
            BadCard: the PIN is blocked.
            CardRemoved: the card was pulled while we waited.
            Cancelled: the subscriber left.
        """
        prompt = replace(about, prompt="enter-pin")
        while True:
            self.say(prompt)
            pin = self._next_pin()
            try:
                self.say(replace(about, prompt="reading"))
                purse.verify_pin(pin)
            except PinWrong as wrong:
                if wrong.tries_left == 0:
                    raise BadCard(replace(about, prompt="pin-blocked")) from wrong
                prompt = replace(about, prompt="wrong-pin", tries_left=wrong.tries_left)
            except PinBlocked as blocked:
                raise BadCard(replace(about, prompt="pin-blocked")) from blocked
            except (StatusError, ProtocolError) as error:
                raise BadCard(replace(about, prompt="not-readable")) from error
            else:
                return

    def next_pin(self, about: CardPrompt, tries_left: int | None) -> Pin:
        """Asks for a PIN that somebody else checks.

        Args:
            about: number and amount to show beside the PIN.
            tries_left: the last one was wrong.

        Raises:
            CardRemoved: the card was pulled while we waited. Cancelled: the subscriber left.
        """
        wrong = tries_left is not None
        self.say(replace(about, prompt="wrong-pin" if wrong else "enter-pin", tries_left=tries_left))
        return self._next_pin()

    def next_word(self, prompt: CardPrompt) -> None:
        """Waits until the subscriber has agreed to what ``prompt`` says.

        Raises:
            CardRemoved: the card was pulled while we waited. Cancelled: the subscriber left.
        """
        self._agreed.clear()
        self.say(prompt)
        while not self._glance(self._agreed):
            pass

    def _next_pin(self) -> Pin:
        while True:
            self._typed.clear()
            with suppress(queue.Empty):
                return self._pins.get_nowait()
            self._glance(self._typed)

    def _glance(self, until: threading.Event) -> bool:
        """Waits a moment for the subscriber's key; True when it came. Raises Cancelled, CardRemoved."""
        if self._cancel.is_set():
            raise Cancelled
        if self._waits.pause(GLANCE_S, until):
            return True
        if self._card_gone():
            raise CardRemoved("the card was taken while the subscriber was asked")
        return False

    def _card_gone(self) -> bool:
        """Whether the card that was powered last has left, also when a quick hand has put in another one."""
        try:
            self._reader.wait_for_removal(GLIMPSE_S, self._cancel)
        except (CardTimeout, Cancelled):
            return False
        except ReaderUnavailable:
            return True
        return True


def _trouble(error: ReaderUnavailable) -> ReaderTrouble:
    match error:
        case ServiceUnavailable():
            return "service"
        case ReaderInUse():
            return "in-use"
        case ReaderSilent():
            return "silent"
    return "missing"


def check_here(facts: CardFacts, today: date, amount_fen: int | None) -> None:
    """What the box can see of a card by itself, before it asks for a PIN (ONL-5, ONL-6). Raises BadCard."""
    about = CardPrompt("reading", facts.application_serial.masked, facts.balance_fen, amount_fen)
    day = f"{today:%Y%m%d}"

    def refuse(prompt: Prompt) -> None:
        raise BadCard(replace(about, prompt=prompt))

    if facts.expiry_date < day:
        refuse("expired")
    if facts.start_date > day:
        refuse("not-yet-valid")
    if amount_fen is not None and facts.balance_fen < amount_fen:
        refuse("balance-too-low")
