"""The words of the search: names of fields and of what can be chosen in them."""

from __future__ import annotations

from server_stub.backoffice.words import N_, Mark

FIELD_NAMES = {
    "number": N_("Order number"),
    "id": N_("Internal number of payment or load"),
    "order": N_("Internal number of the order"),
    "box": N_("Box number"),
    "subscriber": N_("Subscriber"),
    "boxes": N_("Boxes"),
    "method": N_("Channel"),
    "kind": N_("Way to pay"),
    "card": N_("Card number"),
    "card_head": N_("Card's first six digits"),
    "card_end": N_("Card's last four digits"),
    "amount": N_("Amount"),
    "from_fen": N_("Amount from"),
    "to_fen": N_("Amount to"),
    "received_fen": N_("Amount received"),
    "state": N_("State in detail"),
    "shown": N_("State as the subscriber sees it"),
    "money": N_("What became of the money"),
    "reason": N_("Reason"),
    "service": N_("Service"),
    "term": N_("Term"),
    "since": N_("From"),
    "until": N_("To"),
    "day": N_("Day"),
    "psam": N_("PSAM"),
    "terminal": N_("PSAM's terminal number"),
    "transaction_number": N_("Terminal transaction number"),
    "offline_number": N_("Card's offline number"),
    "batch": N_("Batch"),
    "stan": N_("Trace number (STAN)"),
    "reference": N_("Retrieval reference"),
    "authorisation": N_("Authorisation code"),
    "correlation": N_("Correlation id"),
    "journal": N_("Journal number"),
    "case": N_("Cases"),
}
KIND_NAMES = {
    "purse": N_("Purse card"),
    "online": N_("Debit or credit card"),
    "electronic-cash": N_("Electronic cash"),
    "wallet": N_("Wallet"),
    "load": N_("Load of electronic cash"),
}
MONEY_NAMES = {
    "taken": Mark(N_("Taken"), "good"),
    "not-taken": Mark(N_("Not taken"), "off"),
    "returned": Mark(N_("Refunded"), "off"),
    "unknown": Mark(N_("Not known"), "wait"),
}
SHOWN_NAMES = {
    "preparing": N_("Being prepared"),
    "waiting": N_("Waiting for the wallet"),
    "scanned": N_("Scanned"),
    "unknown": N_("Not known yet"),
    "paid": N_("Paid"),
    "done": N_("Done"),
    "failed": N_("Failed"),
    "cancelled": N_("Cancelled"),
    "expired": N_("Run out of time"),
    "late": N_("Came too late"),
    "loaded": N_("Loaded"),
}
WRONG = {
    "amount": N_("An amount in yuan, such as 25.00."),
    "card": N_("The first six or last four digits, or both: 622202…0035."),
    "time": N_("A day such as 2026-06-21, or a day and a time."),
    "choice": N_("There is no such choice."),
    "number": N_("This number does not look like that."),
    "id": N_("An id has 26 letters and digits."),
    "text": N_("This is too long."),
}
"""Why a field could not be read."""
CARD_NAMES = {
    "card_masked": N_("Card number"),
    "balance_before_fen": N_("Balance before"),
    "balance_after_fen": N_("Balance after"),
    "psam": N_("PSAM"),
    "terminal_number": N_("PSAM's terminal number"),
    "terminal_transaction_number": N_("Terminal transaction number"),
    "offline_number": N_("Card's offline number"),
    "batch": N_("Batch"),
    "stan": N_("Trace number (STAN)"),
    "response_code": N_("Answer code"),
    "retrieval_reference": N_("Retrieval reference"),
    "authorisation_code": N_("Authorisation code"),
    "atc": N_("Card's transaction counter (ATC)"),
}
"""What a story knows of a card and the terminal."""
