"""What every way to pay with a card in the slot works with."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from stb_app.journeys.card_slot import CardSlot
from stb_app.journeys.memory import Memory, OpenPayment
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import TspClient
from stb_app.tsp.model import Order, Payment
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Till:
    """The box at the moment of one payment.

    Attributes:
        slot: this journey's use of the reader.
        cancel: the subscriber leaves.
        go_on: at ``remove``, the result may be shown now.
        make_key: idempotency keys.
        now: the time at the box's place.
    """

    client: TspClient
    memory: Memory
    waits: Waits
    slot: CardSlot
    cancel: threading.Event
    go_on: threading.Event
    make_key: Callable[[], str]
    now: Callable[[], datetime]

    def check_room(self) -> None:
        """What must be remembered once a card may have paid can be kept. Asked before the TSP is: on this box they may share
        the disk.

        Raises:
            Problem: ``box-storage``.
        """
        try:
            self.memory.probe()
        except OSError as error:
            log.warning("the box cannot write its memory: %s", error)
            raise Problem("box-storage") from error

    def record_of(
        self, order: Order, payment: Payment, card: str, number: str, balance_fen: int
    ) -> OpenPayment:
        """What the box remembers of a payment whose card may pay any moment.

        Args:
            card: its name in the memory.
            number: masked.
            balance_fen: before.
        """
        return OpenPayment(
            payment.payment, card, "", 0, 0, order.amount_fen, balance_fen, self.make_key(),
            service=order.service.service, order=payment.order, number=payment.number, term=payment.term,
            time=payment.time.isoformat(), card_number=number, correlation=self.client.correlation,
            service_name=dict(order.service.name),
        )  # fmt: skip
