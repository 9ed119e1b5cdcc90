"""The words of reconciliation, of exchanged files and of partners: classes, states, actions, and what each means."""

from __future__ import annotations

from typing import NamedTuple

from server_stub.backoffice.words import N_, Mark


class Class(NamedTuple):
    """How a class of differences is shown.

    Attributes:
        text: its name.
        meaning: what a clerk has to know about it.
        tone: as of a ``Mark``.
    """

    text: str
    meaning: str
    tone: str


BREAK_CLASSES = {
    "missing-there": Class(
        N_("Only in our books"),
        N_("We have this record; the other side has nothing under its number."),
        "bad",
    ),
    "missing-here": Class(
        N_("Only in their books"),
        N_("The other side has this record; we have nothing under its number."),
        "bad",
    ),
    "amount": Class(N_("Amounts differ"), N_("Both sides have it, each with another amount."), "bad"),
    "currency": Class(N_("Currencies differ"), N_("Both sides have it, each in another currency."), "bad"),
    "status": Class(N_("Statuses differ"), N_("Both sides have it, and say different things of it."), "bad"),
    "reversed-on-one-side": Class(
        N_("Reversed on one side"), N_("One side has given the money back; for the other it is taken."), "bad"
    ),
    "duplicate-here": Class(N_("Twice in our books"), N_("We have this number more than once."), "bad"),
    "duplicate-there": Class(
        N_("Twice in their books"), N_("The other side has this number more than once."), "bad"
    ),
    "other-day": Class(
        N_("On another day"), N_("Both sides have it, on different days: around the cut-off."), "wait"
    ),
    "malformed": Class(
        N_("Unreadable line"), N_("A line of their file is no record that could be compared."), "bad"
    ),
    "matched-within-tolerance": Class(
        N_("Agree within the tolerance"),
        N_("The amounts differ by no more than was agreed between the sides."),
        "good",
    ),
    "matched": Class(N_("Agree"), N_("Both sides have the same."), "good"),
}
"""The classes that a comparison finds, those that need somebody first."""
BREAK_STATES = {
    "open": Mark(N_("Needs a person"), "bad"),
    "healing": Mark(N_("Being put right"), "wait"),
    "closed": Mark(N_("Settled"), "good"),
}
BREAK_ACTIONS = {
    "open": (
        N_("Have BOSS open the service"),
        N_("BOSS is asked once more. What it has opened already it only says again; nothing is charged."),
    ),
    "refund": (
        N_("Refund through the wallet"),
        N_("The whole amount goes back to the subscriber's wallet. This cannot be taken back."),
    ),
    "returned-by-hand": (
        N_("Returned over the counter"),
        N_("The subscriber has got the money back at the counter; only our books are still to say so."),
    ),
    "present-again": (
        N_("Present again"),
        N_("The card's debit goes to UnionPay with the next day's file, to be checked again."),
    ),
    "reverse": (
        N_("Reverse again"),
        N_("UnionPay is told once more that this sale was reversed. It gives the cardholder the money back."),
    ),
    "match": (
        N_("It is the same payment"),
        N_("Both records are one payment, only on different days. Nothing is moved."),
    ),
    "wait": (
        N_("Leave it open"),
        N_("Nothing is done; the difference stays on the list, with what you have found out."),
    ),
    "close": (
        N_("Close: settled outside"),
        N_("Nothing is moved. It was put right elsewhere, or both sides have agreed to leave it."),
    ),
    "agreed": (N_("The books agree now"), N_("A later comparison has not found it any more.")),
}
"""What can be done about a difference: its name, and what it does."""
BREAK_EVENTS = {
    "opened": N_("Found"),
    "changed": N_("Found again, and changed"),
    "also": N_("Another difference of the same number"),
    "held": N_("Held: more than the rule may put right by itself"),
    "not-healed": N_("Could not be put right"),
    "opened-there": N_("BOSS has opened the service"),
}
"""What has happened to a difference; besides, the names of actions."""
BREAK_FIELDS = {
    "amount_fen": N_("Amount"),
    "currency": N_("Currency"),
    "status": N_("Status"),
    "day": N_("Business day"),
}
"""What is compared of two records."""
RECORD_STATUSES = {
    "paid": N_("Paid, not opened"),
    "opened": N_("Opened"),
    "returned": N_("Refunded"),
    "settled": N_("Settled by UnionPay"),
    "reversed": N_("Reversed"),
    "refused": N_("Refused"),
    "unknown": N_("Not known"),
}
"""What both books mean by a record; another one is shown by its own name."""
NOTES = {
    "payment": N_("Payment"),
    "number": N_("Order number"),
    "box": N_("Box"),
    "method": N_("Way to pay"),
    "order": N_("Order"),
    "service": N_("Service"),
    "kind": N_("Kind"),
    "note": N_("Note"),
}
"""What else a side says of a record; another word is shown as it is."""
RULES = {
    "paid-not-opened": N_("Paid, not opened: have it opened"),
    "opened-not-told": N_("Opened, and we were not told: ask BOSS"),
    "charged-but-cancelled": N_("Service taken back: refund"),
    "reversal-lost": N_("Reversal lost: reverse again"),
    "settled-late": N_("Settled on another day: match"),
}
"""Rules that put differences right without anybody; another one is shown by its own name."""
RUN_STATES = {
    "wanted": Mark(N_("Waits its turn"), "wait"),
    "running": Mark(N_("Running"), "wait"),
    "done": Mark(N_("Done"), "good"),
    "stopped": Mark(N_("Stopped: too many differences"), "bad"),
    "failed": Mark(N_("Failed"), "bad"),
    "refused": Mark(N_("File refused"), "bad"),
}
RUN_STEPS = {
    "": N_("Waits its turn"),
    "read-here": N_("Reading our books"),
    "totals-here": N_("Adding up our books"),
    "read-there": N_("Reading their file"),
    "totals-there": N_("Adding up their file"),
    "differing": N_("Looking for the parts that differ"),
    "details-here": N_("Reading our records one by one"),
    "details-there": N_("Reading their records one by one"),
    "classes": N_("Sorting the differences"),
    "done": N_("Writing down what was found"),
}
"""What a run is doing, from beginning to end."""
DAY_STATES = {
    "made": Mark(N_("To be sent"), "wait"),
    "sent": Mark(N_("Sent, not answered yet"), "wait"),
    "answered": Mark(N_("Answered"), "good"),
}
"""Of days whose debits go to UnionPay."""
FILE_STATES = {
    "made": Mark(N_("Made, not sent yet"), "wait"),
    "sent": Mark(N_("Sent"), "good"),
    "failed": Mark(N_("Could not be sent"), "bad"),
    "arrived": Mark(N_("Arrived, not used yet"), "wait"),
    "used": Mark(N_("Used"), "good"),
    "refused": Mark(N_("Refused"), "bad"),
    "repeated": Mark(N_("Sent again, unchanged"), "plain"),
    "answer-changed": Mark(N_("UnionPay takes back what it had accepted"), "bad"),
    "superseded": Mark(N_("Replaced"), "off"),
}
FILE_EVENTS = {
    "fetched": N_("Fetched"),
    "deleted": N_("Deleted"),
    "renamed": N_("Renamed"),
}
"""What else happens to files; besides, the names of their states."""
FILE_FACTS = {
    "count": N_("Records"),
    "fen": N_("Amount"),
    "why": N_("Why"),
    "by": N_("By"),
    "to": N_("To"),
    "was": N_("Before"),
    "compared": N_("Compared"),
    "kept": N_("Kept as accepted"),
    "unreadable": N_("Unreadable lines"),
    "strange": N_("Not asked about"),
}
"""What is known of files and of what has happened to them."""
DIRECTIONS = {"in": N_("from them"), "out": N_("to them")}
PARTNERS = {
    "boss": N_("BOSS"),
    "ppp": N_("UnionPay's front end"),
    "tsp": N_("Payment platform"),
}
"""Partners by the names of their accounts; another one is shown by its own."""
PARTNER_STATES = {
    "open": Mark(N_("May sign in"), "good"),
    "closed": Mark(N_("Closed"), "off"),
}
FOLDER_RIGHTS = {"r": N_("reads"), "rw": N_("reads and writes")}

TABLES = (
    *("BREAK_CLASSES", "BREAK_STATES", "BREAK_ACTIONS", "BREAK_EVENTS", "BREAK_FIELDS", "RECORD_STATUSES"),
    *(
        "RULES",
        "RUN_STATES",
        "RUN_STEPS",
        "DAY_STATES",
        "FILE_STATES",
        "FILE_EVENTS",
        "FILE_FACTS",
        "DIRECTIONS",
        "PARTNERS",
    ),
    *("PARTNER_STATES", "FOLDER_RIGHTS", "NOTES"),
)
"""The tables that templates know by name."""
