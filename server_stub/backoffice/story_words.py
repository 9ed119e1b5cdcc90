"""What is said of each step of a transaction, in words that a new colleague understands."""

from __future__ import annotations

from server_stub.backoffice.words import N_

SAID = {
    "ordered": N_("Ordered for ¥%(yuan)s."),
    "begun": N_("Payment of ¥%(yuan)s begun."),
    "load": N_("Load of ¥%(yuan)s onto a card begun."),
    "looked": N_("The card was looked at; no money moved."),
    "psam": N_("PSAM %(psam)s counted this debit."),
    "asked": N_("UnionPay was asked to approve the sale (batch %(batch)s, number %(stan)s)."),
    "asked-load": N_("UnionPay was asked to approve the load (batch %(batch)s, number %(stan)s)."),
    "approved": N_("UnionPay approved (code %(code)s)."),
    "declined": N_("UnionPay declined (code %(code)s)."),
    "reversed": N_("UnionPay acknowledged the reversal (code %(code)s)."),
    "cash": N_("The card was asked to pay with its electronic cash."),
    "certificate-taken": N_("UnionPay accepted the card's certificate (code %(code)s)."),
    "certificate-refused": N_("UnionPay refused the card's certificate (code %(code)s)."),
    "case": N_("A case for a person: %(kind)s."),
    "decided": N_("The case was decided: %(decision)s."),
    "owed": N_("A message is owed to another system: %(topic)s."),
    "delivered": N_("The message was delivered: %(topic)s."),
    "moved": N_("From %(origin)s to %(target)s."),
    "refused-move": N_("Refused: from %(origin)s to %(target)s is not allowed."),
    "audited": N_("In the audit log: %(action)s."),
    "filed": N_("In file %(name)s."),
    "quoted": N_("BOSS quoted ¥%(yuan)s."),
    "subscribed": N_("BOSS opened the service, until %(until)s."),
    "at-ppp": N_("UnionPay's own books: answered %(code)s."),
    "ended-at-ppp": N_("UnionPay's own books: %(state)s."),
}
REQUESTS = {
    True: N_("A request of the box was answered (%(status)s)."),
    False: N_("A request of the box was refused (%(status)s)."),
}
"""By whether it went well."""
ACTORS = {
    "box": N_("the box"),
    "wallet": N_("the wallet"),
    "boss": N_("BOSS"),
    "ppp": N_("UnionPay"),
    "tsp": N_("the platform"),
    "sweep": N_("the platform, by the clock"),
    "server": N_("the server"),
    "platform": N_("the platform"),
}
MOVES = {
    "card-checked": (N_("The card was checked, and a PSAM is reserved."), "plain"),
    "mac1-issued": (
        N_("The PSAM gave its word (MAC1): from here on the card may have been debited."),
        "wait",
    ),
    "mac2-refused": (N_("The PSAM did not accept the card's proof."), "bad"),
    "proof-kept": (N_("The card's proof is kept; no PSAM can check it any more."), "bad"),
    "contradicted": (N_("A proof of a debit came after evidence that there was none."), "bad"),
    "authorising": (N_("The issuer is being asked: from here on the account may have been debited."), "wait"),
    "authorised": (N_("The issuer approved; the card has the last word."), "wait"),
    "reversing": (N_("It is being reversed, until UnionPay has acknowledged that."), "wait"),
    "cash-begun": (N_("The card was asked: from here on it may have paid."), "wait"),
    "presenting": (N_("The card has paid; its certificate is on its way to UnionPay."), "wait"),
    "certificate-refused": (N_("UnionPay does not pay for the card's certificate."), "bad"),
    "certificate-lost": (N_("The card has paid, and its certificate is lost."), "bad"),
    "code-wanted": (N_("A code is wanted from the wallet."), "plain"),
    "code-shown": (N_("The code stands on the television."), "plain"),
    "code-opened": (N_("The code was opened on a phone."), "plain"),
    "wallet-silent": (N_("The wallet does not answer: nobody knows yet whether it took the money."), "wait"),
    "amount-differs": (N_("The wallet took another amount than was asked for."), "bad"),
    "paid": (N_("The money is in."), "good"),
    "opened": (N_("BOSS has opened the service: all is well."), "good"),
    "service-refused": (N_("The money is in, and BOSS refuses the service."), "bad"),
    "failed": (N_("It failed; nothing was taken."), "off"),
    "cancelled": (N_("Cancelled; nothing was taken."), "off"),
    "expired": (N_("The time ran out; nothing was taken."), "off"),
    "written-off": (N_("A person decided: nothing was debited."), "off"),
    "refunding": (N_("The money is being sent back."), "wait"),
    "refunded": (N_("The money was sent back."), "off"),
    "loaded": (N_("The card is loaded."), "good"),
    "disputed": (N_("Card and account disagree: a person finds out."), "bad"),
}
"""Of payments and loads, by where they went."""
ORDER_MOVES = {
    "paying": (N_("The order is being paid."), "plain"),
    "completed": (N_("The order is done."), "good"),
    "closed": (N_("The order is closed."), "off"),
    "expired": (N_("The order ran out of time."), "off"),
    "quoted": (N_("The order can be paid again."), "plain"),
}
AUDITED = {
    "case-close": N_("In the audit log: a person closed the case."),
    "case-accept-proof": N_("In the audit log: a person accepted the proof."),
    "case-write-off": N_("In the audit log: a person wrote it off."),
    "case-open-service": N_("In the audit log: a person had the service opened at our cost."),
    "case-present-again": N_("In the audit log: a person had the certificate presented again."),
    "case-refund": N_("In the audit log: a person had the money sent back."),
    "case-retry-opening": N_("In the audit log: a person had the opening tried again."),
    "case-returned-by-hand": N_("In the audit log: the money was returned over the counter."),
    "case-refused": N_("In the audit log: a decision was refused."),
}
BOOKED = {
    "paid": N_("Paid"),
    "opened": N_("Opened"),
    "refunding": N_("Being sent back"),
    "refunded": N_("Sent back"),
    "failed": N_("Failed"),
    "brought-forward": N_("Brought forward"),
}
"""Kinds of journals; others are shown by their names."""
TOPICS = {
    "open-service": N_("BOSS is to open the service"),
    "refund": N_("the wallet is to send the money back"),
    "present": N_("UnionPay is to be told of the certificate"),
    "reverse": N_("UnionPay is to reverse it"),
    "ask-wallet": N_("the wallet is to be asked"),
    "script-result": N_("UnionPay is to be told what the card did"),
}
"""What is owed to others; what is not here is shown by its name."""
