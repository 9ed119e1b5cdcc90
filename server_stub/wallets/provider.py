"""The contract of every third-party wallet, and how wallets are found.

WalletError
├── WalletUnreachable   no answer, or none that can be understood: what happened is not known
└── NoticeRefused       a notice's signature, time or form is not right
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import entry_points
from typing import Literal, Protocol

import httpx
import structlog

from server_stub.foundation.clock import Clock
from server_stub.foundation.ids import RandomBytes
from server_stub.foundation.secret import SecretText
from server_stub.foundation.text import Text

GROUP = "server_stub.wallets"
"""The entry-point group. A distribution may add its own: a callable that takes a ``Context``."""

State = Literal["absent", "waiting", "scanned", "paid", "declined", "closed", "refunded"]

log = structlog.get_logger(__name__)


class WalletError(Exception):
    """Root of what a wallet raises."""


class WalletUnreachable(WalletError):
    """The wallet did not answer; whether it did what was asked is not known."""


class NoticeRefused(WalletError):
    """A notice that the wallet has not sent, or not now."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a wallet is given: the network, time, randomness, and its settings.

    Attributes:
        url: where the wallet's gateway answers.
        notify_url: where the wallet is to send its notices.
        secret: shared with the gateway.
    """

    http: httpx.AsyncClient
    clock: Clock
    random: RandomBytes
    url: str
    notify_url: str
    secret: SecretText


@dataclass(frozen=True, slots=True)
class Purchase:
    """What is to be paid.

    Attributes:
        reference: our id of the payment, made before anything is sent.
        seconds: how long it can be paid.
    """

    reference: str
    amount_fen: int
    subject: Text
    number: str
    seconds: int


@dataclass(frozen=True, slots=True)
class Status:
    """How far a purchase is, as the wallet says with authority."""

    reference: str
    state: State
    amount_fen: int


class Wallet(Protocol):
    """A way to pay through somebody else's application."""

    key: str
    """Stable word; the method is ``wallet:KEY``."""
    name: Text
    summary: Text

    def refusal(self, amount_fen: int) -> str | None:
        """None when it may be used for that amount, else a code of docs/tsp-api.md. Asks nobody."""
        ...

    async def prepare(self, purchase: Purchase) -> str:
        """Makes the purchase known and returns the QR payload. Moves no money. Repeated: the same payload.

        Raises:
            WalletUnreachable
        """
        ...

    async def execute(self, reference: str) -> Status:
        """Moves the money as far as this side can. Where the payer acts on a phone, that is not at all:
        such a wallet says how far the payer is. Raises WalletUnreachable."""
        ...

    async def query(self, reference: str) -> Status:
        """How far it is. ``absent`` when the wallet has never heard of it. Raises WalletUnreachable."""
        ...

    async def close(self, reference: str, why: str) -> Status:
        """From now on it cannot be paid; returns what it is then, which is ``paid`` when it was paid before.

        Args:
            why: the reason that the PAYMENT will have (docs/tsp-api.md), for the payer's own eyes.

        Raises:
            WalletUnreachable
        """
        ...

    async def refund(self, reference: str, refund: str, amount_fen: int, why: str) -> None:
        """Sends the money back; returns when the wallet has confirmed it. The same refund id counts once.

        Args:
            why: the PAYMENT's reason, for the payer's own eyes.

        Raises:
            WalletUnreachable
        """
        ...

    def verify_notice(self, headers: Mapping[str, str], body: bytes) -> str:
        """The reference that a genuine notice is about. What happened is to be queried, not believed.

        Raises:
            NoticeRefused
        """
        ...


def find(context: Context) -> dict[str, Wallet]:
    """All wallets that are installed, by key; one that is broken is reported and left out."""
    wallets: dict[str, Wallet] = {}
    for point in entry_points(group=GROUP):
        try:
            wallet: Wallet = point.load()(context)
        except Exception:
            # Somebody else's plug-in: the other ways to pay must stay.
            log.exception("wallet-broken", name=point.name)
            continue
        wallets[wallet.key] = wallet
    if not wallets:
        log.warning("no-wallets", group=GROUP, hint="is the distribution installed?")
    return wallets
