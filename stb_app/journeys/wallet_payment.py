"""Paying an order with a wallet (ONL-14): show a code, follow what the phone does, know the end."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from cardreader.errors import Cancelled
from stb_app.journeys.asking import patiently
from stb_app.journeys.memory import Memory
from stb_app.journeys.settling import paid_before, wait_until_open
from stb_app.journeys.steps import Finished, QrState, QrStep, WalletStep, finished
from stb_app.journeys.waiting import Waits
from stb_app.tsp.client import LONG_POLL_S, TspClient
from stb_app.tsp.model import Order, Payment
from stb_app.tsp.problem import Problem

log = logging.getLogger(__name__)

RETRY_S = 1.0
GRACE_S = 30.0
"""After the code has run out the TSP asks the wallet once more; for so long we wait for its word."""
CANCEL_TRIES = 3
"""At once; and again with every answer while the code is open."""
OPEN = ("waiting", "scanned", "unknown")


def modules_of(payload: str) -> tuple[tuple[bool, ...], ...]:
    """The QR code of a text: rows of modules, True is black, error level M, without quiet zone. Takes tens of milliseconds."""
    import qrcode

    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, border=0)
    code.add_data(payload)
    code.make(fit=True)
    return tuple(tuple(bool(module) for module in row) for row in code.get_matrix())


class WalletPayment:
    """One attempt to pay one order by scanning. See journeys.base for run and cancel."""

    def __init__(
        self, client: TspClient, memory: Memory, waits: Waits, make_key: Callable[[], str], order: Order, method: str
    ) -> None:  # fmt: skip
        self._client = client
        self._memory = memory
        self._waits = waits
        self._make_key = make_key
        self._order = order
        self._method = method
        self._cancel = threading.Event()
        self._telling = False
        self._heard = False
        self._over = False
        self._payment: Payment | None = None
        self._code: tuple[tuple[bool, ...], ...] = ()
        self._deadline = 0.0
        self._total_s = 180

    def run(self, post: Callable[[WalletStep], None]) -> None:
        try:
            end = self._pay(post)
        except Cancelled:  # while nobody answered: there is no code that could be paid
            end = Finished("cancelled", "not-taken")
        except Problem as problem:
            end = paid_before(self._client, self._memory, self._waits, problem) or Finished(
                "failed", problem.money, problem.code, self._payment, problem.facts
            )
        except Exception:
            log.exception("wallet payment of order %s", self._order.order)
            if self._payment is None:
                end = Finished("failed", "not-taken", "internal")
            else:
                end = Finished("pending", "unknown", "internal", self._payment)
        self._over = True
        log.info("the payment ends: %s", end.outcome, extra=end.fields(self._client.correlation))
        post(end)
        # From here on the page that got the end looks at it; where there is none any more, the background tells.
        if self._payment is not None:
            self._memory.look_away(self._payment.payment)

    def cancel(self) -> None:
        """Tells the TSP at once, on a thread of its own: the long poll that runs is answered by it."""
        if not self._cancel.is_set() and not self._over:
            self._cancel.set()
            threading.Thread(target=self._tell_cancelled, name="cancel-wallet-payment", daemon=True).start()

    def _pay(self, post: Callable[[WalletStep], None]) -> Finished:
        post(QrStep("making"))
        payment = self._payment = self._start()
        self._remember(payment)
        if self._cancel.is_set():
            self._tell_cancelled()
        if payment.qr is not None:
            self._deadline = self._waits.monotonic() + payment.qr.seconds_left
            self._total_s = payment.qr.seconds_left
            self._code = modules_of(payment.qr.payload)
        shown: WalletStep | None = None
        answered = True
        while payment.state in OPEN:
            left = self._deadline - self._waits.monotonic()
            if left < -GRACE_S:
                return Finished(
                    "pending", "unknown", "tsp-unreachable" if not answered else payment.reason, payment
                )
            step = self._step(payment, left, answered)
            if step != shown:
                shown = step
                post(step)
            try:
                # Up to the end of the countdown, then in short steps: the last answer must not be missed. The first
                # answer after a silence comes at once, so that the screen says that we are connected again.
                wait = max(1, min(LONG_POLL_S, int(left) if left > 1 else 2)) if answered else 0
                payment = self._payment = self._client.payment(payment.payment, payment.version, wait)
                if self._cancel.is_set() and payment.state in OPEN:
                    # Perhaps nobody has heard it: the code would stay open though it is not wanted any more.
                    self._tell_cancelled()
                answered = True
            except Problem as problem:
                if not problem.unanswered and not problem.retryable:
                    return Finished("pending", "unknown", problem.code, payment, problem.facts)
                answered = False
                self._waits.pause(RETRY_S, threading.Event())
        if payment.state == "paid" and shown is not None:
            post(self._step(payment, 0.0, True))
        payment = self._payment = wait_until_open(self._client, self._waits, payment)
        return finished(payment)

    def _start(self) -> Payment:
        key = self._make_key()
        return patiently(
            lambda: self._client.pay(self._order.order, self._method, key),
            self._waits,
            self._cancel,
            lambda: log.info("order %s: no answer yet", self._order.order),
        )

    def _remember(self, payment: Payment) -> None:
        """A full disk must not stop the payment: the TSP knows it, and its end stands in the records."""
        self._memory.look_at(payment.payment)
        try:
            self._memory.keep_code(payment.payment)
        except OSError:
            log.exception("payment %s: the box cannot write its memory", payment.payment)

    def _step(self, payment: Payment, left: float, answered: bool) -> QrStep:
        state: QrState = "shown"
        if payment.state == "paid":
            state = "confirming"
        elif not answered:
            state = "reconnecting"
        elif left <= 0 or payment.state == "unknown":
            state = "checking"
        elif payment.state == "scanned":
            state = "scanned"
        payload = (
            payment.qr.payload
            if payment.qr
            else (self._payment.qr.payload if self._payment and self._payment.qr else "")
        )
        return QrStep(state, self._code, payload, self._deadline, self._total_s, payment)

    def _tell_cancelled(self) -> None:
        payment = self._payment
        if payment is None or self._heard or self._telling:
            return
        self._telling = True
        try:
            self._remember_unwanted(payment.payment)
            self._heard = self._cancelled(payment.payment)
        finally:
            self._telling = False

    def _remember_unwanted(self, payment: str) -> None:
        if not self._memory.is_unwanted(payment):
            try:
                self._memory.unwant_code(payment)
            except OSError:
                log.exception("payment %s: the box cannot write its memory", payment)

    def _cancelled(self, payment: str) -> bool:
        """Whether the TSP has heard it, and said what it had to say."""
        key = self._make_key()
        for attempt in range(CANCEL_TRIES):
            try:
                self._client.cancel(payment, key)
                return True
            except Problem as problem:
                if problem.code == "payment-not-cancellable":
                    # The phone was quicker, or the time was over: the long poll brings how it ended.
                    log.info("payment %s had ended before it was cancelled", payment)
                    return True
                log.warning("cancelling payment %s: %s", payment, problem.code)
                if not problem.retryable:
                    return True
                if attempt < CANCEL_TRIES - 1:
                    self._waits.pause(RETRY_S, threading.Event())
        return False
