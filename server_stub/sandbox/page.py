"""The phone page of the demo wallet, drawn from a template without any outside resource."""

from __future__ import annotations

from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from sqlalchemy import Row

from server_stub.foundation.money import yuan

ENDED = ("expired", "cancelled", "paying-elsewhere")
"""Why a merchant closes a code; money that comes all the same is late."""
WORDS = {
    "zh": {
        "title": "演示钱包",
        "merchant": "电视服务厅",
        "service": "业务",
        "number": "订单号",
        "pay": "确认支付",
        "decline": "不支付",
        "play": "演示环境，不会动用真实资金",
        "other": "English",
        "testers": "测试人员",
        "pay-late": "等二维码过期后再支付",
        "late-hint": "模拟钱包处理缓慢：二维码过期几秒后，款项才到账，随后应自动退还。",
        "silence": "让钱包停止应答",
        "speak": "让钱包恢复应答",
        "paid": "支付成功",
        "paid-hint": "已经扣款。请看电视，业务马上开通。",
        "declined": "手机上已拒绝支付",
        "declined-hint": "没有扣款。您可以在电视上重新订购。",
        "closed": "不能再用这个二维码支付",
        "closed-hint": "没有扣款。请看电视。",
        "expired": "二维码已过期",
        "expired-hint": "没有扣款。请在电视上重新订购。",
        "cancelled": "已在电视上取消",
        "cancelled-hint": "没有扣款。您可以在电视上重新订购。",
        "paying-elsewhere": "已改用其他电视支付",
        "paying-elsewhere-hint": "您家的另一台电视正在支付这项业务。这个二维码没有扣款。",
        "too-late": "支付到账太晚",
        "too-late-hint": "订单已经关闭，业务没有开通。钱会全额退还给您。",
        "refunded": "钱已退还给您",
        "refunded-hint": "已全额退还到您的钱包。请看电视。",
        "late-refunded": "到账太晚，已退还",
        "late-refunded-hint": "订单已经关闭，业务没有开通。钱已全额退还给您。",
        "service-not-opened": "业务没能开通，已退还",
        "service-not-opened-hint": "您已支付成功，但运营商没能开通这项业务。钱已全额退还给您。",
        "service-cancelled": "业务已取消，已退还",
        "service-cancelled-hint": "运营商取消了这项业务。钱已全额退还给您。",
        "unknown": "没有这个二维码",
        "unknown-hint": "这里没有扣款。请重新扫描电视上的二维码。",
        "settling": "支付处理中",
        "settling-hint": "还没有扣款。钱包正在慢慢处理，二维码过期几秒后到账。",
        "to-pay": "应付",
        "amount-paid": "实付",
        "order-amount": "订单金额",
        "being-returned": "正在退还",
        "returned": "已退还",
    },
    "en": {
        "title": "Demo wallet",
        "merchant": "TV Services",
        "service": "Service",
        "number": "Order number",
        "pay": "Pay",
        "decline": "Do not pay",
        "play": "Demonstration: no real money is moved",
        "other": "中文",
        "testers": "For testers",
        "pay-late": "Pay after the code has run out",
        "late-hint": "A slow wallet: the money arrives some seconds after the end and should be sent back.",
        "silence": "Make the wallet stop answering",
        "speak": "Let the wallet answer again",
        "paid": "Paid",
        "paid-hint": "The money was taken. Look at the television: the service is being switched on.",
        "declined": "The payment was declined on the phone",
        "declined-hint": "No money was taken. You can order again on the television.",
        "closed": "This code can no longer be paid",
        "closed-hint": "No money was taken. Please look at the television.",
        "expired": "The code has run out",
        "expired-hint": "No money was taken. Please order again on the television.",
        "cancelled": "Cancelled on the television",
        "cancelled-hint": "No money was taken. You can order again on the television.",
        "paying-elsewhere": "Paying on another television",
        "paying-elsewhere-hint": "Another television of your household is paying for this service. Nothing was taken for this code.",
        "too-late": "The payment came too late",
        "too-late-hint": "The order was closed already. The service was not switched on. "
        "The money is being sent back to you in full.",
        "refunded": "The money was sent back to you",
        "refunded-hint": "It is in your wallet again in full. Please look at the television.",
        "late-refunded": "Came too late, sent back",
        "late-refunded-hint": "The order was closed already. The service was not switched on. "
        "The money was sent back to you in full.",
        "service-not-opened": "Not switched on, sent back",
        "service-not-opened-hint": "You paid in time, but the operator could not switch the service on. "
        "The money was sent back to you in full.",
        "service-cancelled": "Cancelled, sent back",
        "service-cancelled-hint": "The operator has cancelled the service. The money was sent back to you in full.",
        "unknown": "There is no such code",
        "unknown-hint": "Nothing was taken here. Please scan the code on the television again.",
        "settling": "Payment in progress",
        "settling-hint": "Nothing has been taken yet. The wallet is slow; the money arrives some seconds after the code has run out.",
        "to-pay": "To pay",
        "amount-paid": "Amount paid",
        "order-amount": "Order amount",
        "being-returned": "To be sent back",
        "returned": "Sent back",
    },
}


ENDS = {
    ("closed", "expired"): "expired",
    ("closed", "cancelled"): "cancelled",
    ("closed", "paying-elsewhere"): "paying-elsewhere",
    ("refunded", "service-not-opened"): "service-not-opened",
    ("refunded", "service-cancelled"): "service-cancelled",
    **{("paid", ended): "too-late" for ended in ENDED},
    **{("refunded", ended): "late-refunded" for ended in ENDED},
}
"""A code's state and the merchant's reason -> what the page says, where the state does not say it all."""
AMOUNTS = {
    "open": "to-pay",
    "settling": "to-pay",
    "paid": "amount-paid",
    "too-late": "being-returned",
    "refunded": "returned",
    "late-refunded": "returned",
    "service-not-opened": "returned",
    "service-cancelled": "returned",
}
"""What the amount is called, in the television's words; of every other end nothing was paid, and it is grey."""
UNPAID = "order-amount"
SIGNS = {
    "paid": "good",
    "declined": "cross",
    "cancelled": "cross",
    "unknown": "alarm",
    "paying-elsewhere": "info",
}
"""The sign of an end, that of the television; a clock for every other one. What a person chose is no alarm."""


def language(chosen: str | None, accepted: str | None) -> str:
    """``zh`` or ``en``: the one chosen by the link, else the phone's first (RFC 9110, 12.5.4), else Chinese.

    >>> language(None, "fr;q=0.5, en-GB;q=0.9, zh;q=0.1")
    'en'
    """
    if chosen in WORDS:
        return str(chosen)
    ranked = []
    for place, part in enumerate((accepted or "").split(",")):
        tag, _, parameters = part.strip().partition(";")
        quality = parameters.replace(" ", "").removeprefix("q=")
        try:
            weight = float(quality) if quality else 1.0
        except ValueError:
            weight = 0.0
        ranked.append((-weight, place, tag[:2].lower()))
    return next((tag for _, _, tag in sorted(ranked) if tag in WORDS), "zh")


@cache
def _template() -> Template:
    loader = PackageLoader("server_stub.sandbox")
    environment = Environment(loader=loader, autoescape=True, undefined=StrictUndefined)
    return environment.get_template("phone.html")


def view_of(row: Row[Any] | None, *, overdue: bool) -> str:
    """What the page shows: ``open`` with its buttons, or the key of a result."""
    if row is None:
        return "unknown"
    if row.state in ("waiting", "scanned"):
        if overdue:
            return "expired"
        return "settling" if row.settle_late else "open"
    if row.state == "closed" and row.settle_late:
        return "settling"
    # A merchant may have reasons that this page has no words for.
    return ENDS.get((row.state, row.reason), str(row.state))


def render(row: Row[Any] | None, language: str, *, code: str, overdue: bool, switch: str | None) -> str:
    """The page as HTML of the ``code`` that was asked for; ``switch`` is the word on the tester's switch, None: there is no such switch."""
    view = view_of(row, overdue=overdue)
    return _template().render(
        words=WORDS[language],
        language=language,
        other="en" if language == "zh" else "zh",
        view=view,
        sign=SIGNS.get(view, "clock"),
        named=AMOUNTS.get(view, UNPAID),
        code=code,
        subject="" if row is None else (row.subject_zh if language == "zh" else row.subject_en),
        number="" if row is None else row.number,
        amount="" if row is None else yuan(row.amount_fen),
        switch=switch,
    )
