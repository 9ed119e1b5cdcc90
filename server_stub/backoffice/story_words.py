"""What is said of each step of a transaction, in words that a new colleague understands."""

from __future__ import annotations

from server_stub.backoffice.words import N_, PAYMENT_STATES

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
    "case": N_("A case for a person: %(case_kind)s."),
    "decided": N_("The case was decided: %(decision)s."),
    "owed": N_("A message is owed to another system: %(topic)s."),
    "delivered": N_("The message was delivered: %(topic)s."),
    "moved": N_("From %(origin)s to %(target)s."),
    "refused-move": N_("Refused: from %(origin)s to %(target)s is not allowed."),
    "audited": N_("In the audit log: %(audited)s."),
    "filed": N_("In file %(name)s."),
    "differed": N_("A difference was found in the comparison with %(pair)s."),
    "quoted": N_("BOSS quoted ¥%(yuan)s."),
    "subscribed": N_("BOSS opened the service, until %(until)s."),
    "at-ppp": N_("UnionPay's own books: answered %(code)s."),
    "ended-at-ppp": N_("UnionPay's own books: %(bank_state)s."),
}
REQUESTS = {
    True: N_("A request of the box was answered (%(status)s)."),
    False: N_("A request of the box was refused (%(status)s)."),
}
"""By whether it went well."""
MOVES = {
    "card-checked": (N_("The card was checked, and a PSAM is reserved."), "plain"),
    "mac1-issued": (
        N_("The PSAM allowed the debit (MAC1): from here on the card may have been debited."),
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
    "refunding": (N_("The money is being refunded."), "wait"),
    "refunded": (N_("The money was refunded."), "off"),
    "loaded": (N_("The card is loaded."), "good"),
    "disputed": (N_("Card and account disagree: a person finds out."), "bad"),
}
"""Of payments and loads, by where they went."""
OF_MONEY = frozenset(("paid", "amount-differs", "refunding", "refunded", "loaded"))
"""Where money moves."""
MILESTONES = OF_MONEY | frozenset(
    (
        "opened",
        "service-refused",
        "failed",
        "cancelled",
        "expired",
        "written-off",
        "disputed",
        "mac2-refused",
        "proof-kept",
        "contradicted",
        "certificate-refused",
        "certificate-lost",
        "wallet-silent",
        "reversing",
    )
)
"""What whoever asks after a payment wants to know."""
ORDER_MOVES = {
    "paying": (N_("The order is being paid."), "plain"),
    "completed": (N_("The order is done."), "good"),
    "closed": (N_("The order is closed."), "off"),
    "expired": (N_("The order ran out of time."), "off"),
    "quoted": (N_("The order can be paid again."), "plain"),
}
BOOKED = {
    **{name: mark.text for name, mark in PAYMENT_STATES.items()},
    "paid": N_("Paid"),
    "opened": N_("Opened"),
    "cancelled": N_("Taken back"),
    "brought-forward": N_("Brought forward"),
}
"""Kinds of journals at the TSP and BOSS: mostly the states they lead to."""
