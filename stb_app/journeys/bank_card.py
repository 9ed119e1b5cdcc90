"""A debit or credit card in the slot: its application opened, and the card recognised."""

from __future__ import annotations

from datetime import datetime

from cardreader.emv.kernel import DebitCredit
from cardreader.emv.outcome import Prepared
from cardreader.emv.settings import TerminalSettings, Transaction, TransactionType
from cardreader.errors import ApplicationBlocked, ApplicationNotFound, ProtocolError, StatusError
from cardreader.reader import Connection
from stb_app.journeys.card_slot import BadCard
from stb_app.journeys.memory import Memory
from stb_app.journeys.steps import CardPrompt

PAN = 0x5A


def open_debit_credit(connection: Connection, settings: TerminalSettings) -> DebitCredit | None:
    """The card's debit or credit application; None where it has none.

    Raises:
        BadCard: blocked, or bytes that make no sense. CardRemoved.
    """
    try:
        return DebitCredit(connection, settings)
    except ApplicationNotFound:
        return None
    except ApplicationBlocked as error:
        raise BadCard(CardPrompt("blocked")) from error
    except (StatusError, ProtocolError) as error:
        raise BadCard(CardPrompt("not-readable")) from error


def name_of(card: DebitCredit, memory: Memory) -> str:
    """The name under which a card that has been read is remembered. Raises ProtocolError: it has told no number."""
    pan = card.objects.get(PAN)
    if not pan:
        raise ProtocolError("the card has no number")
    return memory.card_id(pan)


def recognised(
    connection: Connection, settings: TerminalSettings, memory: Memory, now: datetime
) -> tuple[DebitCredit, str, Prepared] | None:
    """The card's application, read, the name under which the card is remembered, and what its holder would have to do for a
    balance inquiry; None: there is no such application.

    Raises:
        BadCard: as ``open_debit_credit``. StatusError, ProtocolError: it cannot be read. CardRemoved.
    """
    card = open_debit_credit(connection, settings)
    if card is None:
        return None
    prepared = card.prepare(Transaction(0, now, 1, TransactionType.BALANCE_INQUIRY))
    return card, name_of(card, memory), prepared
