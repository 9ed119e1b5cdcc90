"""What a subscriber does, step by step, without a pixel; and the values that steps carry, for those who draw them."""

from cardreader.secret import Pin
from stb_app.tsp.model import (
    CardStanding,
    Earlier,
    Hello,
    Home,
    Load,
    Method,
    Order,
    PaidCard,
    Payment,
    QrCode,
    Records,
    Service,
    ServicePage,
    Subscriber,
    Subscription,
    Term,
    Words,
)
from stb_app.tsp.problem import Money

__all__ = [
    "CardStanding",
    "Earlier",
    "Hello",
    "Home",
    "Load",
    "Method",
    "Money",
    "Order",
    "PaidCard",
    "Payment",
    "Pin",
    "QrCode",
    "Records",
    "Service",
    "ServicePage",
    "Subscriber",
    "Subscription",
    "Term",
    "Words",
]
