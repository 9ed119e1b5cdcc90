"""What the box must not forget about a payment, on disk, until it is known how it ended and the subscriber has been told.

Of a card payment a record is written before MAC1 is asked for. When the TSP has acknowledged how it ended, nothing is asked
of a card any more; the record is removed when that end was on the screen. No whole card number and no PIN is in it: the
card is recognised by a keyed hash of its application serial.

Of a payment by code only its id is kept, from before the code is shown until its end is: whoever has scanned the code can
pay it also when the television has been switched off. With the id stands the end that was told, as long as another one may
follow: money that comes after a code was closed goes back. And that the subscriber does not want it any more, until the TSP
has brought it to an end.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from stb_app.journeys.on_disk import read, write

log = logging.getLogger(__name__)
ROOM_BYTES = 16 * 1024
"""More than the records of a payment take; what is left of a full disk is no room."""


@dataclass(frozen=True, slots=True)
class OpenPayment:
    """A payment that a card makes by itself, between the moment from which it may have and its proof.

    Of a purse that is MAC1, and the proof ``tac`` and ``mac2``; of electronic cash (``cash``) the card's GENERATE AC, and
    the proof its certificate, ``chip`` (all hex). Until the proof is there only the same card can tell.
    """

    payment: str
    card: str
    """Keyed hash of the application serial, or of the PAN."""
    terminal_number: str
    key_index: int
    offline_number: int
    """Of electronic cash the card's transaction counter (ATC)."""
    amount_fen: int
    balance_before_fen: int
    proof_key: str
    """Idempotency key of the message that ends it: made before it is sent, sent again until answered."""
    tac: str | None = None
    mac2: str | None = None
    balance_after_fen: int | None = None
    """Part of the message that ``proof_key`` stands for: whoever sends it again sends the same."""
    correlation: str = ""
    """Under which the journey began; whatever is told later is told under it too. Empty in records of before."""
    service: str = ""
    """What was to be paid, so that it is not paid once more; empty: not known."""
    order: str = ""
    number: str = ""
    """The order's, for people. With ``term``, ``time`` and the card's masked number it tells of the payment while the TSP does not."""
    term: str = ""
    time: str = ""
    """When it began, ISO 8601."""
    card_number: str = ""
    service_name: dict[str, str] = field(default_factory=dict)
    """In every language the TSP told it in; empty in records of before."""
    cash: bool = False
    chip: str | None = None

    def debited(self, tac: bytes, mac2: bytes) -> OpenPayment:
        return replace(self, tac=tac.hex(), mac2=mac2.hex())

    def certified(self, chip: bytes) -> OpenPayment:
        return replace(self, chip=chip.hex())

    @property
    def proven(self) -> bool:
        """The card's proof is here: it has paid."""
        return self.tac is not None or self.chip is not None


@dataclass(frozen=True, slots=True)
class OpenLoad:
    """A load of electronic cash, from the moment on that its card may be loaded until its end was told.

    Only the card can tell what became of it: ``balance_fen`` and ``logged`` are what it has said, ``chip`` (hex) its last
    word, where that was heard; ``acknowledged``: the TSP knows.
    """

    load: str
    card: str
    """Keyed hash of the PAN."""
    atc: int
    """Of the load's transaction."""
    key: str
    """What idempotency keys of its end begin with."""
    correlation: str = ""
    amount_fen: int = 0
    """With ``time`` (ISO 8601) and the card's masked number it tells people which load it is; empty in records of before."""
    time: str = ""
    card_number: str = ""
    balance_fen: int | None = None
    logged: bool = False
    chip: str | None = None
    acknowledged: bool = False
    told: str = ""
    """The state that was told while the card has not been seen; empty: none."""

    def explained(self, balance_fen: int, logged: bool, chip: bytes | None) -> OpenLoad:
        """What the card has said; the TSP is to hear it, and the subscriber what comes of it."""
        word = None if chip is None else chip.hex()
        return replace(self, balance_fen=balance_fen, logged=logged, chip=word, acknowledged=False)


class Memory:
    """The records of one box, one file each. Thread-safe. A file that cannot be read is set aside under ``.broken``, never deleted.

    Args:
        folder: made when missing; None keeps everything in memory (tests of screens).

    Attributes:
        changed: called, on whatever thread, when a payment may no longer wait for its card, or a code for its end.
        left: the same, when a page that told of a payment is left, or more is known than its notice says.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._records: dict[str, OpenPayment] = {}
        self.broken: list[str] = []
        self._key = self._load_key()
        if folder is not None:
            self._records = {r.payment: r for r in read(folder, "*.json", OpenPayment, self.broken)}
        self._codes: dict[str, str] = {}
        """Payments by code -> the state that was told; empty: none yet."""
        if folder is not None:
            self._codes = {path.stem: path.read_text("ascii", "replace") for path in folder.glob("*.code")}
        self._unwanted = set() if folder is None else {path.stem for path in folder.glob("*.unwanted")}
        self._loads: dict[str, OpenLoad] = {}
        if folder is not None:
            self._loads = {load.load: load for load in read(folder, "*.load", OpenLoad, self.broken)}
        self._settled: set[str] = set()
        self._pins_refused: Counter[str] = Counter()
        self._looked_at: Counter[str] = Counter()
        self.changed: Callable[[], None] = lambda: None
        self.left: Callable[[], None] = lambda: None

    def waits_for_cash(self) -> bool:
        """Whether a card with electronic cash still has a payment or a load to explain."""
        with self._lock:
            wanted = any(load.balance_fen is None for load in self._loads.values())
        return wanted or any(r.cash and not r.proven for r in self.all())

    def open_loads(self) -> tuple[OpenLoad, ...]:
        """Loads whose end nobody tells on a page; of those whose card was not seen any more, until an end was told."""
        with self._lock:
            unseen = (load for load in self._loads.values() if load.load not in self._looked_at)
            return tuple(load for load in unseen if not load.told or load.balance_fen is not None)

    def keep_load(self, load: OpenLoad) -> None:
        """The card may be loaded from now on; or more is known of it. As ``keep``."""
        with self._lock:
            if self._folder is not None:
                write(self._folder / f"{load.load}.load", json.dumps(asdict(load)).encode())
            self._loads[load.load] = load
        self.changed()

    def explain_load(self, load: OpenLoad) -> None:
        """The card has said what it has done. Where the disk cannot take it, the card tells again after a power cut."""
        try:
            self.keep_load(load)
        except OSError as error:
            log.warning("what the card said of load %s is not on the disk: %s", load.load, error)
            self._hold_load(load)

    def acknowledge_load(self, load: str) -> None:
        """The TSP knows what the card has said. This is not written down: after a power cut it is told once more."""
        with self._lock:
            known = self._loads.get(load)
        if known is not None:
            self._hold_load(replace(known, acknowledged=True))
        self.left()  # what became of it can be told now

    def forget_load(self, load: str) -> None:
        """Its end was told, or it never began."""
        with self._lock:
            self._loads.pop(load, None)
            if self._folder is not None:
                (self._folder / f"{load}.load").unlink(missing_ok=True)
        self.changed()

    def load(self, load: str) -> OpenLoad | None:
        """What is remembered of a load."""
        with self._lock:
            return self._loads.get(load)

    def load_of(self, card: str) -> OpenLoad | None:
        """The load that this card still has to explain."""
        with self._lock:
            mine = (load for load in self._loads.values() if load.card == card)
            return next((load for load in mine if load.balance_fen is None), None)

    def card_id(self, application_serial: bytes) -> str:
        """The name under which a card is remembered: not its number, and of no use elsewhere."""
        return hmac.new(self._key, application_serial, hashlib.sha256).hexdigest()

    def pin_refused(self, card: str) -> int:
        """The issuer has refused the card's PIN. How often it has in a row, as far as this box knows since it was switched on."""
        with self._lock:
            self._pins_refused[card] += 1
            return self._pins_refused[card]

    def pin_accepted(self, card: str) -> None:
        """The issuer has found nothing wrong with the card's PIN, or has locked it."""
        with self._lock:
            self._pins_refused.pop(card, None)

    def keep(self, record: OpenPayment) -> None:
        """Stores or replaces a record. When this returns it survives a power cut. Raises OSError when the disk cannot."""
        with self._lock:
            if self._folder is not None:
                write(self._folder / f"{record.payment}.json", json.dumps(asdict(record)).encode())
            self._records[record.payment] = record
        self.changed()

    def probe(self) -> None:
        """Whether a record could be kept just now. Raises OSError when the disk cannot."""
        if self._folder is not None:
            with self._lock:
                path = self._folder / "probe"
                write(path, bytes(ROOM_BYTES))
                path.unlink()

    def settled(self, payment: str) -> None:
        """The TSP knows how it ended, and the card has nothing to explain any more; the subscriber has not been told yet.

        This is not written down: after a power cut the TSP is told, or asked, once more.
        """
        with self._lock:
            if payment in self._records:
                self._settled.add(payment)
        self.changed()

    def forget(self, payment: str) -> None:
        """Its end is known and was told."""
        with self._lock:
            self._records.pop(payment, None)
            self._settled.discard(payment)
            if self._folder is not None:
                (self._folder / f"{payment}.json").unlink(missing_ok=True)
        self.changed()

    def untold(self) -> tuple[str, ...]:
        """Payments by card whose end the TSP knows and no page is telling."""
        with self._lock:
            return tuple(sorted(p for p in self._settled if p not in self._looked_at))

    def of_card(self, card: str) -> OpenPayment | None:
        """The payment that this card still has to explain."""
        return next((r for r in self.all() if r.card == card and not r.proven), None)

    def proven(self) -> tuple[OpenPayment, ...]:
        """Payments whose proof is here and only has to reach the TSP."""
        return tuple(r for r in self.all() if r.proven)

    def unproven(self) -> tuple[str, ...]:
        """Payments that wait for their card."""
        return tuple(r.payment for r in self.all() if not r.proven)

    def asked_for(self) -> tuple[OpenPayment, ...]:
        """Those of them that nobody looks at: their subscriber has to be told."""
        return tuple(r for r in self.all() if not r.proven and not self.is_looked_at(r.payment))

    def missed_cards(self) -> tuple[str, ...]:
        """Masked numbers of the cards that the subscriber is asked for; empty ones in records of before."""
        loads = (load.card_number for load in self.open_loads() if load.balance_fen is None)
        return (*(record.card_number for record in self.asked_for()), *loads)

    def is_looked_at(self, payment: str) -> bool:
        """Whether a page says how this payment stands, or a journey will at its end: nobody need be told of it elsewhere."""
        with self._lock:
            return payment in self._looked_at

    def look_at(self, payment: str) -> None:
        """Somebody tells the subscriber how this payment, or load, stands, from now on until ``look_away``."""
        with self._lock:
            self._looked_at[payment] += 1
        self.changed()

    def look_away(self, payment: str) -> None:
        with self._lock:
            self._looked_at -= Counter((payment,))
        self.left()

    def is_proven(self, payment: str) -> bool:
        """Whether the card's proof of this payment waits here for the TSP."""
        return any(record.payment == payment for record in self.proven())

    def all(self) -> tuple[OpenPayment, ...]:
        """Payments of which the TSP has not acknowledged how they ended."""
        with self._lock:
            return tuple(r for r in self._records.values() if r.payment not in self._settled)

    def wants_card(self, payment: str) -> bool:
        """Whether only the card that was used for this payment can explain it."""
        return any(record.payment == payment and not record.proven for record in self.all())

    def wanted_for(self, service: str) -> OpenPayment | None:
        """The payment for a service that only its card can explain."""
        return next((r for r in self.all() if r.service == service and not r.proven), None)

    def keep_code(self, payment: str) -> None:
        """The code of this payment is about to be shown. As ``keep``."""
        with self._lock:
            self._write_code(payment, "")

    def unwant_code(self, payment: str) -> None:
        """The subscriber has cancelled it: the TSP is to hear of it, also when the plug is pulled before. As ``keep``."""
        with self._lock:
            if payment in self._codes:
                self._unwanted.add(payment)
                if self._folder is not None:
                    write(self._folder / f"{payment}.unwanted", b"")

    def is_unwanted(self, payment: str) -> bool:
        """Whether this code, which has no end that is known here, was cancelled by the subscriber."""
        with self._lock:
            return payment in self._unwanted

    def close_code(self, payment: str, told: str) -> None:
        """An end is known and was told, the payment's state ``told``, but money may still come late. As ``keep``."""
        with self._lock:
            if payment in self._codes:
                self._write_code(payment, told)
                self._ended(payment)
        self.changed()

    def forget_code(self, payment: str) -> None:
        """Its end is known and was told."""
        with self._lock:
            self._codes.pop(payment, None)
            if self._folder is not None:
                (self._folder / f"{payment}.code").unlink(missing_ok=True)
            self._ended(payment)
        self.changed()

    def open_codes(self) -> tuple[str, ...]:
        """Payments by code that were left, also by a television that was switched off: no end was told, and nobody looks."""
        with self._lock:
            return tuple(
                sorted(p for p, told in self._codes.items() if not told and p not in self._looked_at)
            )

    def closed_codes(self) -> dict[str, str]:
        """Payments by code that have ended, but to which money may come late -> the state that was told; not those looked at."""
        with self._lock:
            return {p: told for p, told in self._codes.items() if told and p not in self._looked_at}

    def _hold_load(self, load: OpenLoad) -> None:
        with self._lock:
            self._loads[load.load] = load
        self.changed()

    def _write_code(self, payment: str, told: str) -> None:
        self._codes[payment] = told
        if self._folder is not None:
            write(self._folder / f"{payment}.code", told.encode())

    def _ended(self, payment: str) -> None:
        if payment in self._unwanted:
            self._unwanted.discard(payment)
            if self._folder is not None:
                (self._folder / f"{payment}.unwanted").unlink(missing_ok=True)

    def _load_key(self) -> bytes:
        if self._folder is None:
            return secrets.token_bytes(32)
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / "card-id.key"
        if not path.exists():
            write(path, secrets.token_bytes(32))
        return path.read_bytes()
