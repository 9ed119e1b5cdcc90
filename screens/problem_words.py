"""What is said of every code, in two messages: what is the matter, and what to do next."""

from __future__ import annotations


def N_(msgid: str) -> str:
    """Marks a message of a table for the catalogue; it is translated when it is shown."""
    return msgid


_WAIT = N_("Please wait a few minutes.")
_OTHER_TELEVISION_FIRST = N_(
    "A payment on another television is still open. Put the card in there first: only then can it pay here."
)
_TRY_OTHER_CARD = N_("Take it out and put in another card, or pay another way.")
_CALL_BANK = N_("Please ask the bank that issued the card, or pay another way.")
_ORDER_AGAIN = N_("Please order again.")
_NOT_SAFE = N_("So nothing is sent there, and nothing can be paid. Please call the hotline.")
_NOT_RECOGNISED = N_("The payment service does not recognise this box")
SERVICE_DOWN = N_("The card service of this box is not running")
SERVICE_BACK = N_(
    "No card can be read until it runs again. If that takes more than a minute, switch the box off and on again."
)
_REGISTER_AGAIN = N_("Please call the hotline to have it registered again.")

PROBLEMS: dict[str, tuple[str, str]] = {
    # No answer, or one that nobody understands
    "tsp-unreachable": (
        N_("The payment service cannot be reached"),
        N_("Please wait a moment. If it stays away, check the network cable or call the hotline."),
    ),
    "tsp-answer-bad": (
        N_("The payment service did not answer clearly"),
        N_("Please wait a few minutes. If it happens again, call the hotline."),
    ),
    "tsp-not-trusted": (
        N_("The payment service could not prove who it is"),
        N_("It is not believed until it does. Do not pay again; call the hotline."),
    ),
    "tls-authority-unknown": (N_("The payment service's certificate is not known"), _NOT_SAFE),
    "tls-expired": (N_("The payment service's certificate has run out"), _NOT_SAFE),
    "tls-not-yet-valid": (
        N_("The payment service's certificate is not valid yet"),
        N_("Perhaps the clock of this box is wrong. Please have it set, or call the hotline."),
    ),
    "tls-wrong-name": (N_("The payment service's certificate is for another address"), _NOT_SAFE),
    "tls-failed": (N_("No safe connection to the payment service"), _NOT_SAFE),
    "clock-skew": (
        N_("The clock of this box is wrong"),
        N_("Please have it set first."),
    ),
    "too-many-requests": (
        N_("Too many attempts in a short time"),
        _WAIT,
    ),
    "signature-missing": (_NOT_RECOGNISED, N_("Please call the hotline to have it registered.")),
    "signature-invalid": (_NOT_RECOGNISED, _REGISTER_AGAIN),
    "signature-replayed": (_NOT_RECOGNISED, N_("If it happens again, please call the hotline.")),
    "stopping": (N_("The payment service is restarting"), _WAIT),
    "internal": (
        N_("Something went wrong on our side"),
        N_("We have recorded it. Please wait a few minutes."),
    ),
    "bad-request": (
        N_("The payment service did not understand this box"),
        N_("The box may need an update. Please call the hotline."),
    ),
    "body-too-large": (
        N_("This box has asked for too much at once"),
        N_("The box may need an update. Please call the hotline."),
    ),
    "method-not-allowed": (
        N_("This box and the payment service do not fit together"),
        N_("The box may need an update. Please call the hotline."),
    ),
    "not-found": (N_("This can no longer be found"), N_("Please go back and choose again.")),
    "idempotency-key-reused": (N_("This order was sent twice"), _ORDER_AGAIN),
    # The box
    "not-enrolled": (
        N_("This box is not registered"),
        N_("Please call the hotline to have it registered. Nothing that you have paid is lost."),
    ),
    "box-unknown": (
        N_("We do not know this box"),
        N_("Please call the hotline and have the box number ready."),
    ),
    "box-suspended": (
        N_("This box is out of service"),
        N_("Please call the hotline to have it put back in service."),
    ),
    "box-stolen": (
        N_("This box has been reported stolen"),
        N_("Nothing can be paid with it. If it is yours, please call the hotline."),
    ),
    "key-replaced": (
        N_("This box number is registered on another device"),
        N_("If that was not you, please call the hotline; else use the other device."),
    ),
    "key-revoked": (N_("The registration of this box was withdrawn"), _REGISTER_AGAIN),
    "key-copied": (
        N_("This box's registration is in use on two devices"),
        N_("It was stopped. Please call the hotline to have this box registered again."),
    ),
    "activation-code-wrong": (
        N_("This box could not be registered"),
        N_(
            "Box number, smart-card number or activation code: one does not fit the others. Please check all three on your paper."
        ),
    ),
    # BOSS says no
    "already-subscribed": (
        N_("You already have this service"),
        N_("It cannot be extended right now. You can watch at once; nothing needs to be paid."),
    ),
    "term-not-sold": (N_("Not on offer"), N_("Please choose another term.")),
    "subscriber-in-arrears": (
        N_("Your account has unpaid bills"),
        N_("Please settle them at a service hall or through the hotline, then order again."),
    ),
    "service-withdrawn": (N_("This service is no longer sold"), N_("Please choose another service.")),
    "order-clash": (
        N_("Cannot be combined with a service you have"),
        N_("Please choose another service, or call the hotline."),
    ),
    "boss-unreachable": (N_("The ordering system does not answer"), _WAIT),
    # Out of order
    "order-expired": (N_("This order has waited too long"), _ORDER_AGAIN),
    "order-closed": (N_("This order is closed"), _ORDER_AGAIN),
    "order-outdated": (N_("Your service has changed since this order"), _ORDER_AGAIN),
    "payment-in-progress": (
        N_("This is being paid already"),
        N_("An earlier payment for it is still open. The records will say how it ended."),
    ),
    "already-paid": (
        N_("This has just been paid"),
        N_("An earlier payment for this service has gone through. You need not pay again."),
    ),
    "paying-elsewhere": (
        N_("This is being paid on another television"),
        N_("See there how it ends."),
    ),
    "paid-elsewhere": (
        N_("This has been paid on another television"),
        N_("You need not pay again."),
    ),
    "payment-not-cancellable": (
        N_("This payment can no longer be cancelled"),
        N_("Please wait for its result; you will find it in the records."),
    ),
    "method-not-offered": (N_("You cannot pay this way here"), N_("Please choose another way to pay.")),
    "wrong-state": (N_("This step no longer fits the payment"), _ORDER_AGAIN),
    # The card
    "not-readable": (
        N_("This card cannot be read"),
        N_("Take it out, look whether the chip is clean and which way it points, and put it in again."),
    ),
    "expired-card": (N_("This card has expired"), _TRY_OTHER_CARD),
    "not-yet-valid": (N_("This card is not valid yet"), _TRY_OTHER_CARD),
    "blocked": (N_("This card is locked"), _CALL_BANK),
    "pin-blocked": (
        N_("The PIN of this card is locked"),
        N_(
            "It was entered wrongly too often. Take the card and your identity card to the bank that issued it."
        ),
    ),
    "issuer-unknown": (N_("Cards of this bank are not accepted here"), _TRY_OTHER_CARD),
    "no-purse": (N_("This card has no electronic purse"), _TRY_OTHER_CARD),
    "declined-by-card": (N_("The card has refused this payment"), _TRY_OTHER_CARD),
    "declined-by-issuer": (N_("The card's bank has refused this payment"), _CALL_BANK),
    "pin-refused": (
        N_("The PIN was not right"),
        N_("After three wrong PINs in a row the card's bank locks the card. If you are not sure, ask first."),
    ),
    "pin-refused-last": (
        N_("The PIN was wrong again"),
        N_(
            "The next may be the last try: the bank locks the card after three. If you are not sure, ask first."
        ),
    ),
    "too-little-on-account": (
        N_("There is not enough money in the account"),
        N_("Please pay with another card, or another way."),
    ),
    "over-limit": (
        N_("This is more than the card may pay at once"),
        N_("Please pay with another card, or ask the bank that issued it."),
    ),
    "ppp-silent": (
        N_("The card's bank does not answer"),
        N_("The payment was stopped. Please order again in a few minutes, or pay another way."),
    ),
    "ppp-unreachable": (N_("Card payments do not work just now"), N_("Please pay another way.")),
    "listed": (N_("This card may not be used to pay"), _CALL_BANK),
    "unsettled": (N_("This card has something to settle first"), _OTHER_TELEVISION_FIRST),
    "card-unsettled": (N_("This card has something to settle first"), _OTHER_TELEVISION_FIRST),
    "card-issuer-unknown": (N_("Cards of this bank are not accepted here"), _TRY_OTHER_CARD),
    "card-expired": (N_("This card has expired"), _TRY_OTHER_CARD),
    "card-not-yet-valid": (N_("This card is not valid yet"), _TRY_OTHER_CARD),
    "card-no-purse": (N_("This card has no electronic purse"), _TRY_OTHER_CARD),
    "card-listed": (N_("This card may not be used to pay"), _CALL_BANK),
    "card-blocked": (N_("This card is locked"), _CALL_BANK),
    "balance-too-low": (
        N_("There is not enough money on the card"),
        N_("Please load the card, put in another one, or pay another way."),
    ),
    "reader-missing": (
        N_("The card reader cannot be found"),
        N_("Please check that its cable is plugged in. You can also pay with your phone."),
    ),
    "reader-service-down": (SERVICE_DOWN, SERVICE_BACK),
    # The deduction
    "psam-none-free": (N_("Too many people are paying just now"), _WAIT),
    "psam-none-for-issuer": (
        N_("Cards of this bank cannot pay here just now"),
        N_("Please pay another way."),
    ),
    "lease-lost": (N_("It took too long"), N_("Please order again, and put the card in soon.")),
    "psam-refused": (N_("The card was not accepted"), _CALL_BANK),
    "mac2-refused": (
        N_("The card's answer is being checked"),
        N_("Our staff will check whether money was taken. You need not do anything."),
    ),
    "not-debited": (N_("Our staff have checked this payment"), N_("You need not do anything.")),
    "proof-kept": (
        N_("Our staff are checking this payment"),
        N_("Our staff will check whether money was taken. You need not do anything."),
    ),
    "evidence-contradicts": (
        N_("This payment is being checked"),
        N_("Our staff will check whether money was taken. You need not do anything."),
    ),
    "certificate-lost": (
        N_("The card came out while it was paying"),
        N_("The card says that it has paid. Our staff check this with its bank; you need not do anything."),
    ),
    "certificate-refused": (
        N_("The card's bank does not confirm it"),
        N_("Our staff will check whether money was taken. You need not do anything."),
    ),
    "opened-by-operator": (
        N_("Our staff have switched the service on"),
        N_("The card's payment could not be checked. You need not do anything."),
    ),
    "mac1-refused": (N_("The card refused the payment"), N_("Please order again, or pay another way.")),
    "card-removed": (
        N_("The card was taken out too early"),
        N_("Please order again, and leave the card in until we say so."),
    ),
    "reader-lost": (
        N_("The card reader was interrupted"),
        N_("The card itself says that it has not paid. Please check the reader's cable, then order again."),
    ),
    "reader-service-lost": (
        N_("The card service of this box was interrupted"),
        N_(
            "The card itself says that it has not paid. Please order again; if it is interrupted again, switch the box off and on"
            " again."
        ),
    ),
    "connection-lost": (
        N_("The connection was interrupted"),
        N_("The payment was stopped before the card was charged. Please order again."),
    ),
    "card-refused": (N_("The card refused the payment"), _CALL_BANK),
    "card-away": (
        N_("The card has not come back yet"),
        N_("Put the same card in at any time: that shows what happened."),
    ),
    "card-wait-expired": (
        N_("No card was put in"),
        N_("Please order again and have the card ready, or pay another way."),
    ),
    "box-storage": (
        N_("The storage of this box is full"),
        N_("So we did not let the card pay. Please call the hotline, or pay with your phone."),
    ),
    # The wallet
    "wallet-unreachable": (
        N_("The wallet does not answer"),
        N_("If you have already paid, it will be found. Otherwise please pay another way."),
    ),
    "declined": (N_("The payment was declined on the phone"), N_("You can order again, or pay another way.")),
    "expired": (N_("The code has run out"), _ORDER_AGAIN),
    "cancelled": (N_("The payment was cancelled"), N_("You can order again at any time.")),
    "service-cancelled": (
        N_("The operator has cancelled the service"),
        N_("What you paid is sent back to you. If you have questions, please call the hotline."),
    ),
    "service-not-opened": (
        N_("Paid; the service could not be switched on"),
        N_("Our staff will switch it on or give the money back."),
    ),
}
"""Code of docs/tsp-api.md, of the client or of a journey -> (title, what to do next)."""

UNKNOWN_CODE = (
    N_("Sorry, this did not work"),
    N_("Please wait a few minutes. If it happens again, call the hotline and give this code:"),
)
