"""What cards, wallets, issuers, the TSP and BOSS say of a payment: who was charged, who is served."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from cardreader import tlv
from server_stub.tsp import machines, settlement
from tests.simulation.books import books
from tests.simulation.cards import CashCard, DebitCard
from tests.simulation.world import Simulation, the_day_before

OPEN_AT_TSP = frozenset(
    {"mac1-issued", "cash-begun", "mac2-refused", "proof-kept", "contradicted", "amount-differs"}
)
"""States that say that nobody knows yet, and that may last."""
PAID = ("paid", "opened", "service-refused")
"""States of a payment whose money is in."""


def cards_add_up(simulation: Simulation) -> Iterator[str]:
    """A card holds what it held, with its loads and less its debits."""
    for card in simulation.cards:
        came = card.loads if isinstance(card, CashCard) else ()
        moved_fen = sum(load.amount_fen for load in came) - sum(debit.amount_fen for debit in card.debits)
        if card.balance_fen != card.start_fen + moved_fen:
            yield f"{card.name} holds {card.balance_fen} fen"


def every_debit_is_known(simulation: Simulation) -> Iterator[str]:
    """Each debit belongs to one payment at the TSP, of the same amount, and to no second one."""
    held = books(simulation)
    for payment, debits in held.charged.items():
        if not payment:
            yield f"a debit belongs to no payment: {debits}"
        elif len(debits) > 1:
            yield f"payment {payment} was debited {len(debits)} times"
        elif debits[0].amount_fen != held.payments[payment].amount_fen:
            yield f"payment {payment}: {debits[0].amount_fen} fen were debited"


def nobody_is_charged_twice(simulation: Simulation) -> Iterator[str]:
    """An order is charged once; so is what one person wanted once, with whatever cards."""
    held = books(simulation)
    orders = Counter(row.order_id for row in held.payments.values() if held.money_is_gone(row.id))
    for order, times in orders.items():
        if times > 1:
            yield f"order {order} was charged {times} times"
    for person in simulation.people:
        for intent in person.intents:
            paid = [
                row.id
                for row in held.payments.values()
                if row.order_id in intent.orders and row.id in held.charged
            ]
            if len(paid) > 1:
                yield f"{intent.box} wanted {intent.service} once and was debited for {paid}"


def charged_is_served_or_open(simulation: Simulation) -> Iterator[str]:
    """Whoever is charged has the service, the money back, or something open that stays visible."""
    held = books(simulation)
    for payment in (one for one in (*held.charged, *held.codes) if one and held.money_is_gone(one)):
        row = held.payments.get(payment)
        if row is None:
            yield f"the wallet has money for {payment}, which nobody knows"
        elif row.state == "opened":
            continue
        elif held.cases.get(payment):
            if machines.PAYMENT_SHOWN[row.state].money == "not-taken":
                yield f"payment {payment} was charged, has a case, and is shown as {row.state}"
        elif row.state not in OPEN_AT_TSP or payment not in held.remembered:
            yield f"payment {payment} was charged and is {row.state} without a case; box remembers: {payment in held.remembered}"


def nothing_unpaid_is_served(simulation: Simulation) -> Iterator[str]:
    """An open service was paid, once, with the right amount; a cancelled debt opens nothing."""
    held = books(simulation)
    for order in held.boss_orders.values():
        if order.state != "opened":
            continue
        row = held.payments.get(order.payment)
        if row is None or row.order_id != order.id or not held.money_is_gone(order.payment):
            yield f"order {order.id} is open at BOSS; payment {order.payment} was not paid"
        elif order.amount_fen != row.amount_fen:
            yield f"order {order.id} is open for {row.amount_fen} fen"
    for row in held.payments.values():
        if row.state == "opened" and not held.money_is_gone(row.id):
            yield f"payment {row.id} is opened and was not paid"


def boss_and_tsp_agree(simulation: Simulation) -> Iterator[str]:
    """What the TSP calls opened BOSS has opened, with one subscription each, and nothing else."""
    held = books(simulation)
    opened_here = {row.order_id for row in held.payments.values() if row.state == "opened"}
    opened_there = {order.id for order in held.boss_orders.values() if order.state == "opened"}
    for order in opened_here ^ opened_there:
        yield f"order {order}: opened here {order in opened_here}, there {order in opened_there}"
    linked = [order.subscription_id for order in held.boss_orders.values() if order.subscription_id]
    new = len(held.subscriptions) - the_day_before().subscriptions
    if len(set(linked)) != len(opened_there) or new != len(opened_there):
        yield f"{len(opened_there)} orders opened, {new} new subscriptions"


def wallet_and_tsp_agree(simulation: Simulation) -> Iterator[str]:
    """The wallet's money is a payment's; money that went back went back once, and both know it."""
    held = books(simulation)
    for payment, code in held.codes.items():
        row = held.payments.get(payment)
        if row is None:
            yield f"the wallet has a code for {payment}, which nobody knows"
        elif (code.state == "refunded") != (row.state == "refunded"):
            yield f"payment {payment} is {row.state}, its code is {code.state}"
        elif code.state == "paid" and row.state not in ("opened", "paid"):
            yield f"payment {payment} is {row.state}, its code is paid"
        elif code.state in ("waiting", "scanned") and row.state in ("expired", "cancelled"):
            yield f"payment {payment} is {row.state}, its code was never closed"
    for payment, refunds in simulation.network.refunds.items():
        if len(refunds) > 1:
            yield f"payment {payment} was sent back {len(refunds)} times"


def psams_and_tsp_agree(simulation: Simulation) -> Iterator[str]:
    """Every purchase that a PSAM has completed is a payment that is paid, or a case."""
    held = books(simulation)
    paid = sum(
        row.method == "card" and row.paid_at is not None and row.id in held.debits
        for row in held.payments.values()
    )
    open_ = sum(
        row.state in ("mac2-refused", "proof-kept", "contradicted") and bool(held.cases.get(row.id))
        for row in held.payments.values()
    )
    if not paid <= simulation.psam_accepted <= paid + open_:
        yield f"PSAMs completed {simulation.psam_accepted} purchases, {paid} are paid, {open_} are cases"


def unionpay_tsp_and_cards_agree(simulation: Simulation) -> Iterator[str]:
    """What a debit or credit card has paid the issuer has booked and the card certified; nothing else is booked."""
    held = books(simulation)
    certificates = {
        one for card in simulation.cards if isinstance(card, DebitCard) for one in card.certificates
    }
    for payment, asked in held.authorisations.items():
        state, sold = held.payments[payment].state, held.issuer.get((asked.batch, asked.stan))
        booked = sold is not None and sold.state == "approved"
        if booked != (state in PAID):
            yield f"payment {payment} is {state}, at the issuer {sold and sold.state}"
        if booked and tlv.find(bytes.fromhex(asked.chip_end or ""), 0x9F26) not in certificates:
            yield f"payment {payment} is {state}, and no card has certified it"
    collected = set()
    for payment, kept in held.certificates.items():
        state, sold = held.payments[payment].state, held.collected.get((kept.batch, kept.stan))
        booked = sold is not None and sold.state == "approved"
        if sold is not None:
            collected.add(sold.id)
        if booked != (state in PAID):
            yield f"payment {payment} is {state}, its certificate at the issuer {sold and sold.state}"
        if booked and tlv.find(bytes.fromhex(kept.chip or ""), 0x9F26) not in certificates:
            yield f"payment {payment} is {state}, and no card has certified it"
    for row in held.collected.values():
        if row.id not in collected:
            yield f"the issuer has {row.amount_fen} fen of electronic cash as {row.state} that no payment knows"


def batches_agree(simulation: Simulation) -> Iterator[str]:
    """Every batch that was closed came to its end, and PPP has counted what the TSP can explain."""
    for row in books(simulation).settlements:
        if row.state != settlement.AGREED:
            yield f"batch {row.batch} is {row.state}: told {row.told_fen} fen, counted {row.counted_fen}"
