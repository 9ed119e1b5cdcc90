"""The words for codes that books, logs and journals have: of audit logs, accounts, reasons, and of facts by their names."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from server_stub.backoffice import recon_words, search_words, sentences, words
from server_stub.backoffice.words import N_, P_
from server_stub.foundation.card_numbers import hidden
from server_stub.foundation.sentences import read

AUDITED = {
    "started": N_("Server started"),
    "stopped": N_("Server stopped"),
    "migrated": N_("Database brought to a new version"),
    "subscribers-loaded": N_("Demo subscribers loaded"),
    "case-refused": N_("Decision about a case refused"),
    **{f"case-{name}": text for name, (text, _) in words.CASE_ACTIONS.items()},
    "break-refused": N_("Decision about a difference refused"),
    **{f"break-{name}": text for name, (text, _) in recon_words.BREAK_ACTIONS.items()},
    "move-refused": N_("Change of state refused"),
    "psam-unlock": N_("PSAM used again"),
    "settle": N_("Settlement of the open batch ordered"),
    "settlement-decided": N_("Batch difference decided"),
    "job-ordered": N_("Job run now"),
    "run-wanted": N_("Comparison ordered"),
    "day-sent-again": N_("Day sent to UnionPay again"),
    "server-key-rotated": N_("Server key changed"),
    "card-key-rotated": N_("Key for card data changed"),
    "terminal-key-entered": N_("Terminal key entered"),
    "account-changed": N_("Test account changed"),
    "key-registered": N_("Box registered"),
    "key-rotated": N_("Key of the box changed"),
    "key-copied": N_("Key of the box in use on two devices"),
    "key-ended": N_("Key of the box ended"),
    "box-suspend": N_("Box suspended"),
    "box-activate": N_("Box put in service"),
    "box-stolen": N_("Box reported stolen"),
    "box-revoke": N_("Key of the box revoked"),
    "box-activation": N_("New activation code given"),
    "order-cancelled": N_("Service taken back"),
    "partner-added": N_("Partner added"),
    "partner-changed": N_("Partner's account changed"),
    "partner-opened": N_("Partner's account opened"),
    "partner-closed": N_("Partner's account closed"),
    "partner-password": N_("Partner's password changed"),
    "staff-added": N_("Person added"),
    "staff-password": N_("Password changed"),
    "staff-closed": N_("Person's account closed"),
    "staff-opened": N_("Person's account opened"),
    "staff-roles": N_("Roles changed"),
    "signed-in": N_("Signed in"),
    "signed-out": N_("Signed out"),
    "signed-out-everywhere": N_("Signed out everywhere"),
    "sign-in-refused": N_("Sign-in refused"),
    "password-refused": N_("Wrong password when changing it"),
    "proposed": N_("Decision proposed"),
    "confirmed": N_("Decision confirmed by a second person"),
    "proposal-refused": N_("Proposal refused by a second person"),
    "proposal-withdrawn": N_("Proposal withdrawn"),
    "proposal-failed": N_("Confirmed decision could not be carried out"),
    "file-read": N_("File downloaded"),
}
"""What stands in audit logs, by action."""
ACCOUNTS = {
    "receivable:card": N_("Receivable from UnionPay: cards"),
    "suspense:orders": N_("Received, service not open yet"),
    "suspense:differences": N_("Received, amount differs"),
    "payable:refunds": N_("Payable: refunds"),
    "payable:boss": N_("Payable to the operator"),
    "cash:settled": N_("Settled by UnionPay, to be paid out"),
    "cash:counter": N_("Cash at the counter"),
    "expense:certificates": N_("Expense: electronic cash not received"),
    "unknown:card": N_("Not known yet: cards"),
    "unknown:wallet": N_("Not known yet: wallets"),
    "unknown:contra": N_("Not known yet: contra account"),
    "receivable:platform": N_("Receivable from the payment platform"),
}
"""Accounts of the TSP's and BOSS's books; besides, those that are formed with a name: ``account_name``."""
REASONS = {
    "cancelled": N_("Cancelled by the subscriber"),
    "expired": N_("Time ran out"),
    "declined": N_("Declined on the phone"),
    "declined-by-issuer": N_("Declined by the issuer"),
    "declined-by-card": N_("Declined by the card"),
    "pin-refused": N_("Wrong PIN"),
    "pin-refused-last": N_("Wrong PIN again"),
    "pin-blocked": N_("PIN locked"),
    "too-little-on-account": N_("Not enough money in the account"),
    "balance-too-low": N_("Not enough money on the card"),
    "over-limit": N_("Above the card's limit"),
    "card-expired": N_("Card expired"),
    "expired-card": N_("Card expired"),
    "card-not-yet-valid": N_("Card not valid yet"),
    "not-yet-valid": N_("Card not valid yet"),
    "card-issuer-unknown": N_("Issuer not accepted"),
    "issuer-unknown": N_("Issuer not accepted"),
    "card-no-purse": N_("Card has no purse"),
    "no-purse": N_("Card has no purse"),
    "card-listed": N_("Card on the stop list"),
    "listed": N_("Card on the stop list"),
    "card-blocked": N_("Card locked"),
    "blocked": N_("Card locked"),
    "card-unsettled": N_("Card has an open payment"),
    "unsettled": N_("Card has an open payment"),
    "not-readable": N_("Card cannot be read"),
    "ppp-silent": N_("No answer from UnionPay"),
    "ppp-unreachable": N_("UnionPay cannot be reached"),
    "tsp-unreachable": N_("The box could not reach the platform"),
    "tsp-answer-bad": N_("The box could not read the platform's answer"),
    "mac1-refused": N_("Card refused MAC1"),
    "mac2-refused": N_("PSAM refused MAC2"),
    "card-refused": N_("Refused by the card"),
    "card-removed": N_("Card taken out too early"),
    "card-away": N_("Card has not come back"),
    "card-wait-expired": N_("No card was put in"),
    "connection-lost": N_("Connection interrupted"),
    "reader-missing": N_("Card reader not found"),
    "reader-lost": N_("Card reader interrupted"),
    "reader-service-down": N_("Card service of the box not running"),
    "reader-service-lost": N_("Card service of the box interrupted"),
    "psam-none-free": N_("No PSAM was free"),
    "psam-none-for-issuer": N_("No PSAM for this issuer"),
    "psam-refused": N_("Refused by the PSAM"),
    "lease-lost": N_("The PSAM's reservation ran out"),
    "wallet-unreachable": N_("The wallet cannot be reached"),
    "amount-differs": N_("Amount differs"),
    "late": N_("Money came too late"),
    "paying-elsewhere": N_("Paid at another television instead"),
    "paid-elsewhere": N_("Paid at another television"),
    "service-not-opened": N_("BOSS refuses the service"),
    "service-cancelled": N_("Service taken back"),
    "opened-by-operator": N_("Opened at the operator's cost"),
    "not-debited": N_("Found out: nothing was debited"),
    "proof-kept": N_("Proof kept, no PSAM can check it"),
    "evidence-contradicts": N_("Card and proof contradict each other"),
    "certificate-lost": N_("Card's certificate lost"),
    "certificate-refused": N_("Card's certificate refused"),
    "load-disputed": N_("Card and account disagree"),
    "already-subscribed": N_("Subscriber has the service already"),
    "already-paid": N_("Paid already"),
    "payment-in-progress": N_("Being paid already"),
    "payment-not-cancellable": N_("Cannot be cancelled any more"),
    "method-not-offered": N_("This way of paying is not offered"),
    "wrong-state": N_("The payment has moved on"),
    "term-not-sold": N_("Term not on sale"),
    "subscriber-in-arrears": N_("Subscriber in arrears"),
    "service-withdrawn": N_("Service not sold any more"),
    "order-clash": N_("Clashes with another service"),
    "order-closed": N_("Order closed"),
    "order-expired": N_("Order expired"),
    "order-outdated": N_("Order outdated"),
    "boss-unreachable": N_("BOSS cannot be reached"),
    "box-unknown": N_("BOSS does not know the box"),
    "box-suspended": N_("Box suspended"),
    "box-stolen": N_("Box reported stolen"),
    "box-storage": N_("Storage of the box is full"),
    "key-replaced": N_("Number registered on another device"),
    "key-revoked": N_("Key revoked"),
    "key-copied": N_("Key in use on two devices"),
    "not-enrolled": N_("Box not registered"),
    "not-found": N_("Not found"),
    "bad-request": N_("Request not understood"),
    "internal": N_("Fault of the platform"),
    "stopping": N_("The platform was restarting"),
    "too-many-requests": N_("Too many attempts"),
    "clock-skew": N_("Clock of the box is wrong"),
    "idempotency-key-reused": N_("Sent twice with other contents"),
    "activation-code-wrong": N_("Activation code wrong"),
    "body-too-large": N_("Request too long"),
    "method-not-allowed": N_("Request not understood"),
    "notice-refused": N_("Wallet's notice not believed"),
    "partner-unknown": N_("Partner not known"),
    "signature-invalid": N_("Signature not right"),
    "signature-missing": N_("Request not signed"),
    "signature-replayed": N_("Request sent twice"),
    "reversed-first": N_("Reversal came before the sale"),
}
"""Why a payment or load ended, or a request was refused; a code that a box made up is shown as it is."""
MACHINES = {
    "order": N_("Order"),
    "card payment": N_("Card payment"),
    "wallet payment": N_("Wallet payment"),
    "load": N_("Load of electronic cash"),
}
"""What has states."""
ORDER_STATES = {
    "quoted": N_("Waits to be paid"),
    "paying": N_("Being paid"),
    "completed": N_("Done"),
    "closed": N_("Closed"),
}
"""Of orders at the TSP."""
TOPICS = {
    "open-service": N_("BOSS is to open the service"),
    "reopen-service": N_("BOSS is to open the service once more"),
    "refund": N_("the wallet is to refund the money"),
    "present": N_("UnionPay is to be told of the certificate"),
    "reverse": N_("UnionPay is to reverse it"),
    "reverse-load": N_("UnionPay is to reverse the load"),
    "ask-wallet": N_("the wallet is to be asked"),
    "script-result": N_("UnionPay is to be told what the card did"),
    "load-script-result": N_("UnionPay is to be told what the card did"),
    "report-key": N_("BOSS is to be told of the box's key"),
}
"""What is owed to others."""
AT_BANK = {
    "approved": N_("approved"),
    "declined": N_("declined"),
    "reversed": N_("reversed"),
    "barred": N_("reversed before it came"),
    "sale": N_("sale"),
    "cash-sale": N_("electronic-cash sale"),
    "load": N_("load"),
    "balance": N_("balance inquiry"),
    "unknown": N_("not known"),
    "good": N_("right"),
    "wrong": N_("wrong"),
    "done": N_("done"),
    "failed": N_("failed"),
}
"""What PPP's books say of a message."""
ACCOUNT_STATES = {
    "active": N_("In service"),
    "blocked": N_("Locked"),
    "lost": N_("Lost"),
    "stolen": N_("Stolen"),
}
JOBS = {
    "sweep": N_("Payments that wait"),
    "books": N_("Check of the books"),
    "cases": N_("Cases that settled themselves"),
    "forget-answers": N_("Old answers"),
    "loads": N_("Loads that wait"),
    "settle": N_("Settlement of the open batch"),
    "settlements": N_("Batches not at their end"),
    "upload": N_("Debits to UnionPay"),
    "reconcile": N_("Comparison of the days"),
    "opened": N_("Services opened each day"),
    "details": N_("Answers to the platform's days"),
    "settled": N_("Settlement of each day"),
}
"""What jobs are called."""
INQUIRIES = {"card": N_("card"), "account": N_("account")}
SUBJECTS = {**words.ROLES, **JOBS, "now": N_("open batch"), "unknown": N_("a name that nobody has")}
"""What records of the audit log are about, where that is no number, day or name."""
FACTS: Mapping[str, str | tuple[str, str]] = {
    **search_words.CARD_NAMES,
    "id": N_("Internal number"),
    "number": N_("Order number"),
    "payment": N_("Payment"),
    "load": N_("Load"),
    "order": N_("Order"),
    "case": N_("Case"),
    "break": N_("Difference"),
    "case_kind": N_("Kind of case"),
    "kind": N_("Kind"),
    "term": N_("Term"),
    "service": N_("Service"),
    "method": N_("Way to pay"),
    "list_fen": N_("List price"),
    "reduction_fen": N_("Reduction"),
    "amount_fen": N_("Amount"),
    "paid_fen": N_("Amount paid"),
    "fen": N_("Amount"),
    "balance_fen": N_("Balance"),
    "expires_at": N_("Can be paid until"),
    "due_at": N_("Due"),
    "valid_from": N_("Valid from"),
    "valid_until": N_("Valid until"),
    "time": N_("Time"),
    "date": N_("Day"),
    "seconds_left": N_("Seconds left"),
    "correlation": N_("Correlation id"),
    "machine": N_("What has moved"),
    "origin": N_("From"),
    "target": N_("To"),
    "actor": N_("By"),
    "key_version": N_("Key version"),
    "key_index": N_("Key index"),
    "algorithm_id": N_("Algorithm"),
    "tac": N_("Transaction certificate (TAC)"),
    "mac2": N_("Card's proof (MAC2)"),
    "reversal": N_("Reversal"),
    "reversal_reason": N_("Reason of the reversal"),
    "reversal_code": N_("Answer to the reversal"),
    "script_code": N_("Answer to the card's result"),
    "script": N_("Card's script"),
    "certificate": N_("Certificate"),
    "sequence_number": N_("Card sequence number"),
    "atc_now": N_("Counter now (ATC)"),
    "logged": N_("In the card's log"),
    "declined": N_("Declined by the card"),
    "status_word": N_("Card's status word"),
    "decision": N_("Decision"),
    "action": N_("Decision"),
    "reason": N_("Reason"),
    "second": P_("who", "Second person"),
    "rule": N_("Rule"),
    "why": N_("Why"),
    "wanted": N_("Wanted"),
    "by": N_("Through"),
    "topic": N_("Message"),
    "attempts": N_("Attempts"),
    "last_error": N_("Last fault"),
    "issuer_id": N_("Issuer"),
    "issuer": N_("Issuer"),
    "refusal": N_("Refused because"),
    "usable": N_("Can pay"),
    "code": N_("Code"),
    "status": N_("HTTP status"),
    "title": N_("Title"),
    "detail": N_("Detail"),
    "type": N_("Type"),
    "instance": N_("Request"),
    "money": N_("Money"),
    "state": N_("State"),
    "shown_state": N_("State"),
    "order_state": N_("State of the order"),
    "bank_state": N_("State at UnionPay"),
    "bank_kind": N_("Message"),
    "break_state": N_("State"),
    "file_state": N_("State"),
    "account_state": N_("State of the account"),
    "inquiry_kind": N_("Asked about"),
    "version": N_("Version"),
    "retry": N_("May be tried again"),
    "retryable": N_("May be tried again"),
    "retry_after": N_("Try again after seconds"),
    "hotline": N_("Hotline"),
    "renews": N_("Renews an open service"),
    "sequence": N_("No."),
    "subject": N_("About"),
    "audited": N_("Action"),
    "hash": N_("Hash of the record"),
    "name": N_("Name"),
    "direction": N_("Direction"),
    "size": N_("Size in bytes"),
    "sha256": N_("SHA-256"),
    "pair": N_("Books"),
    "day": N_("Business day"),
    "cls": N_("Kind"),
    "key": N_("Identifier"),
    "batch": N_("Batch"),
    "cancelled": N_("Taken back"),
    "before": N_("Before"),
    "after": N_("After"),
    "history": N_("Hash of what was loaded"),
    "dry_run": N_("Dry run"),
    "check_value": N_("Check value"),
    "full_name": N_("Full name"),
    "roles": N_("Roles"),
    "role": N_("Books of"),
    "once": N_("To be used once"),
    "address": N_("Address"),
    "sessions": N_("Sessions ended"),
    "proposal": N_("Proposal"),
    "proposed": N_("Proposed"),
    "proposed_by": N_("Proposed by"),
    "note": N_("Note"),
    "partner": N_("Partner"),
    "addresses": N_("May come from"),
    "folders": N_("Folders"),
    "connections": N_("Connections at once"),
    "file_bytes": N_("Largest file in bytes"),
    "room_bytes": N_("All files in bytes"),
    "pin_failures": N_("Wrong PINs"),
    "terminal": N_("Terminal"),
    "card": N_("Card"),
    "money_moved": N_("Money moved"),
    "box_number": N_("Box number"),
    "chip": N_("Data for the card's chip"),
    "key_id": N_("Number of the key"),
}
"""What facts are called: of a story's steps, of cases, and of audit logs."""
STATES = {
    **{name: mark.text for name, mark in words.PAYMENT_STATES.items()},
    **ORDER_STATES,
}
VALUES: Mapping[str, Mapping[str, str]] = {
    **sentences.VALUES,
    "kind": {**words.CASE_KINDS, "case": N_("Decide a case"), "break": N_("Decide about a difference")},
    "case_kind": words.CASE_KINDS,
    "inquiry_kind": INQUIRIES,
    "bank_kind": AT_BANK,
    "bank_state": AT_BANK,
    "script": AT_BANK,
    "certificate": AT_BANK,
    "state": {**ACCOUNT_STATES, **STATES},
    "account_state": ACCOUNT_STATES,
    "shown_state": {**search_words.SHOWN_NAMES, **ORDER_STATES},
    "file_state": {name: mark.text for name, mark in recon_words.FILE_STATES.items()},
    "origin": STATES,
    "target": STATES,
    "machine": MACHINES,
    "term": words.TERMS,
    "method": {**words.METHODS, **search_words.KIND_NAMES},
    "money": {name: mark.text for name, mark in search_words.MONEY_NAMES.items()},
    "actor": words.ACTORS,
    "decision": {name: text for name, (text, _) in words.CASE_ACTIONS.items()},
    "wanted": sentences.VALUES["action"],
    "refusal": REASONS,
    "code": REASONS,
    "reason": REASONS,
    "topic": TOPICS,
    "audited": AUDITED,
    "direction": recon_words.DIRECTIONS,
    "rule": recon_words.RULES,
    "reversal": {"none": N_("none"), "unanswered": N_("not answered yet")},
    "roles": {name: text for name, (text, _) in words.STAFF_ROLES.items()},
    "before": {name: text for name, (text, _) in words.STAFF_ROLES.items()},
    "role": words.ROLES,
    "pair": recon_words.PARTNERS,
    "folders": recon_words.FOLDER_RIGHTS,
}
"""What codes are called, by the name of the fact that has them."""
FREE = frozenset(
    ("reason", "note", "second", "by", "proposed_by", "name", "key", "psam", "full_name", "last_error", "why", "title", "detail", "number", "hash", "sha256", "id", "correlation", "instance", "type", "history", "before", "after", "case", "tac", "mac2", "card_masked", "subject", "addresses", "text", "order", "payment", "load", "proposal", "key_id")
)  # fmt: skip
"""Facts whose values are what somebody has said, or numbers that people tell each other."""
SAID = frozenset(("why", "note", "text", "last_error"))
"""Facts that are sentences."""
BOOLEAN = {"true": N_("yes"), "false": N_("no")}
_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+(?:Z|[+-][0-9:]+)$")
_CODE = re.compile(r"[a-z]+(?:[-_:.][a-z0-9]+)*")


class Fact(NamedTuple):
    """A fact in words.

    Attributes:
        name: what it is called here; ``code``: and in the books.
        known: there are words for both, or none are wanted.
    """

    code: str
    name: str
    text: str
    known: bool


def fact(language: str, name: str, value: Any, services: Mapping[str, str] | None = None) -> Fact:
    """A fact of a record in words.

    Args:
        value: text, or anything of JSON.
        services: names of services, by their ids.
    """
    label = FACTS.get(name)
    if name == "service" and value in (services or {}):
        text, known = (services or {})[value], True
    else:
        text, known = _value(language, name, value)
    return Fact(name, words.said(language, label) if label else name, text, known and label is not None)


def _value(language: str, name: str, value: Any) -> tuple[str, bool]:
    if isinstance(value, bool):
        return words.said(language, BOOLEAN[str(value).lower()]), True
    if isinstance(value, int):
        return (words.yuan(value) if name == "fen" or name.endswith("_fen") else str(value)), True
    if isinstance(value, list | tuple):
        every = [_value(language, name, one) for one in value]
        return words.said(language, N_(", ")).join(text for text, _ in every), all(
            known for _, known in every
        )
    if isinstance(value, dict):
        return _several(language, name, value)
    text = str(value)
    if name in SAID:
        return hidden(sentences.worded(language, read(text))), True
    named = VALUES.get(name, {}).get(text) or BOOLEAN.get(text)
    if named is not None:
        return words.said(language, named), True
    if _INSTANT.match(text):
        return words.when(datetime.fromisoformat(text)), True
    if name == "actor":
        return actor(language, text), True
    if name == "by" and text.startswith("staff:"):
        return f"{words.said(language, words.ROLES['backoffice'])}: {text.removeprefix('staff:')}", True
    return hidden(text), name in FREE or _CODE.fullmatch(text) is None


def _several(language: str, name: str, values: Mapping[str, Any]) -> tuple[str, bool]:
    """Facts within a fact; of folders, which are called what they are called, what may be done in each."""
    if name == "folders":
        pairs = [(folder, *_value(language, name, right)) for folder, right in values.items()]
    else:
        inside = (fact(language, one, value) for one, value in values.items() if value is not None)
        pairs = [(one.name, one.text, one.known) for one in inside]
    joined = words.said(language, N_("; ")).join(f"{label}: {text}" for label, text, _ in pairs)
    return joined, all(known for _, _, known in pairs)


def actor(language: str, name: str) -> str:
    """Who it was: a person's name, or what else does things."""
    if name.startswith("rule:"):
        rule = name.removeprefix("rule:")
        return words.said(
            language, N_("rule: %(rule)s"), rule=words.said(language, recon_words.RULES.get(rule, rule))
        )
    return words.said(language, words.ACTORS[name]) if name in words.ACTORS else name.removeprefix("person:")


def reason(language: str, code: str) -> str:
    """Why a payment or load ended."""
    return words.said(language, REASONS.get(code, code))


def account_name(t: Callable[..., str], account: str, services: Mapping[str, str]) -> str:
    """An account of the books in words; one that has none by its own name.

    Args:
        t: translates a message with its values.
        services: names of services, by their ids.
    """
    if account in ACCOUNTS:
        return t(ACCOUNTS[account])
    if account.startswith("revenue:"):
        service = account.removeprefix("revenue:")
        return t(N_("Revenue: %(service)s"), service=services.get(service, service))
    if account.startswith("receivable:wallet:"):
        wallet = account.removeprefix("receivable:")
        named = t(words.METHODS[wallet]) if wallet in words.METHODS else wallet.removeprefix("wallet:")
        return t(N_("Receivable from %(wallet)s"), wallet=named)
    return account


def subject(language: str, action: str, name: str) -> str:
    """What a record of an audit log is about."""
    if action == "move-refused":
        machine, _, row = name.rpartition(" ")
        return f"{words.said(language, MACHINES[machine])} {row}" if machine in MACHINES else name
    if action in (
        "started",
        "stopped",
        "migrated",
        "job-ordered",
        "settle",
        "sign-in-refused",
        "password-refused",
        "subscribers-loaded",
    ):
        return words.said(language, SUBJECTS[name]) if name in SUBJECTS else name
    return name
