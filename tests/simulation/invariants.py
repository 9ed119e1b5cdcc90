"""What must hold after every run, however much went wrong: money, services, books, and what people were told.

Each check takes the finished simulation and yields what is wrong. ``ALL`` is the list; a role that gets another set of
books (a ledger, a settlement) adds its checks there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import select

from cardreader import tlv
from server_stub.check import examine
from server_stub.sandbox import tables as sandbox
from server_stub.sandbox.service import MACHINE as CODE
from server_stub.settings import Settings
from server_stub.tsp import chip_data, machines, settlement
from server_stub.tsp import tables as tsp
from stb_app.tsp.problem import Problem
from tests.simulation.books import Books, books
from tests.simulation.databases import opened
from tests.simulation.television import CashCard, DebitCard
from tests.simulation.world import BOXES, Simulation, attend, the_day_before

Check = Callable[[Simulation], Iterator[str]]
OPEN_AT_TSP = frozenset(
    {"mac1-issued", "cash-begun", "mac2-refused", "proof-kept", "contradicted", "amount-differs"}
)
"""States that say that nobody knows yet, and that may last."""
UNKNOWN_IN_BOOKS = (*machines.CARD_UNKNOWN, *machines.CASH_UNKNOWN, "presenting")
KEY_LOOK = timedelta(seconds=2)
"""So long one process lets a read in by a key that another one has ended."""
CLAIMING_S = 11.0
"""So much earlier than the work a lease may begin: the answer to a commit may take so long."""
FORGOTTEN_S = 300.0
"""What is due for so long, and claimed, is in the hands of nobody who lives."""
FIRST = {
    "order": "quoted",
    "card payment": "created",
    "wallet payment": "code-wanted",
    "code": "waiting",
    "load": "created",
}
MACHINES = {
    one.name: one
    for one in (machines.ORDER, machines.CARD_PAYMENT, machines.WALLET_PAYMENT, machines.LOAD, CODE)
}
PAID = ("paid", "opened", "service-refused")
"""States of a payment whose money is in."""


def _wallet_has(held: Books, payment: str) -> bool:
    """Whether the wallet holds money for a payment."""
    return payment in held.codes and held.codes[payment].state == "paid"


def _in(held: Books, payment: str) -> bool:
    """Whether the payer's money for a payment is gone at this moment."""
    return payment in held.charged or _wallet_has(held, payment)


def _counts_as_paid(held: Books, payment: str) -> bool:
    """Whether the payer's money is gone, or a person has said that the service is to be had all the same."""
    return _in(held, payment) or payment in held.borne


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
    orders = Counter(row.order_id for row in held.payments.values() if _in(held, row.id))
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
    for payment in (one for one in (*held.charged, *held.codes) if one and _in(held, one)):
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
        if row is None or row.order_id != order.id or not _counts_as_paid(held, order.payment):
            yield f"order {order.id} is open at BOSS; payment {order.payment} was not paid"
        elif order.amount_fen != row.amount_fen:
            yield f"order {order.id} is open for {row.amount_fen} fen"
    for row in held.payments.values():
        if row.state == "opened" and not _counts_as_paid(held, row.id):
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
        if booked != (state in PAID and payment not in held.borne):
            yield f"payment {payment} is {state}, its certificate at the issuer {sold and sold.state}"
        if booked and tlv.find(bytes.fromhex(kept.chip or ""), 0x9F26) not in certificates:
            yield f"payment {payment} is {state}, and no card has certified it"
    for row in held.collected.values():
        if row.id not in collected:
            yield f"the issuer has {row.amount_fen} fen of electronic cash as {row.state} that no payment knows"


def loads_agree(simulation: Simulation) -> Iterator[str]:
    """What was loaded the account has paid and the card holds; what was not, neither. Where one says so and the other does
    not, the load is in dispute, or its card has still to tell.
    """
    held = books(simulation)
    known, slips = set(), set()
    for row in held.loads.values():
        booked, there = _load_stands(simulation, held, row)
        slips.add((row.batch, row.stan))
        known.add(_atc(row))
        told = row.id not in held.loads_remembered
        right = {
            "created": not booked and not there,
            "loaded": booked and there,
            "failed": not booked and not (there and told),
            "disputed": not booked and there,
        }
        if not right.get(row.state, False):
            yield f"load {row.id} of {row.amount_fen} fen is {row.state}; booked {booked}, on the card {there}, told {told}"
    for card in _cash_cards(simulation):
        for load in card.loads:
            if load.random not in known:
                yield f"{load.amount_fen} fen came onto {card.name}, and no load knows of it"
    for slip, row in held.loaded.items():
        if slip not in slips:
            yield f"the issuer has booked a load of {row.amount_fen} fen, and no load knows of it"


def electronic_cash_is_whole(simulation: Simulation) -> Iterator[str]:
    """What the issuer has put out is on the card, but for what was paid and has not reached it, and loads in dispute."""
    held = books(simulation)
    cards = tuple(_cash_cards(simulation))
    if not cards:
        return
    out_fen = sum(card.balance_fen for card in cards)
    for payment, kept in held.certificates.items():
        sold = held.collected.get((kept.batch, kept.stan))
        if payment in held.charged and (sold is None or sold.state != "approved"):
            out_fen += held.payments[payment].amount_fen
    for row in held.loads.values():
        booked, there = _load_stands(simulation, held, row)
        out_fen += row.amount_fen * (booked - there)
    if held.cash_out_fen != out_fen:
        yield f"the issuer has {held.cash_out_fen} fen of electronic cash out, and not {out_fen}"


def _cash_cards(simulation: Simulation) -> Iterator[CashCard]:
    return (card for card in simulation.cards if isinstance(card, CashCard))


def _atc(load: Any) -> str:
    """Of the transaction that a load asked its issuer in; empty: it has asked for nothing."""
    return "" if load.chip is None else f"{chip_data.atc_of(load.chip):04X}"


def _load_stands(simulation: Simulation, held: Books, load: Any) -> tuple[bool, bool]:
    """Whether a load is booked at the issuer, and whether the card has it."""
    at_issuer = held.loaded.get((load.batch, load.stan))
    there = {one.random for card in _cash_cards(simulation) for one in card.loads}
    return at_issuer is not None and at_issuer.state == "approved", _atc(load) in there


def batches_agree(simulation: Simulation) -> Iterator[str]:
    """Every batch that was closed came to its end, and PPP has counted what the TSP can explain."""
    for row in books(simulation).settlements:
        if row.state != settlement.AGREED:
            yield f"batch {row.batch} is {row.state}: told {row.told_fen} fen, counted {row.counted_fen}"


def psams_are_lent_whole(simulation: Simulation) -> Iterator[str]:
    """A PSAM belongs to a payment from MAC1 to its proof: none is given away within the lease, none kept after."""
    held = books(simulation)
    if "tsp" not in simulation.stepped:
        issued = {row.row: row.at for _, row in held.moves if row.target == "mac1-issued" and row.legal}
        with opened(simulation.hosts["tsp"].files) as conn:
            for case in conn.execute(select(tsp.cases).where(tsp.cases.c.kind == "psam-number-moved")):
                if (case.at - issued[case.payment_id]).total_seconds() < 180:
                    yield f"payment {case.payment_id} lost its PSAM before its proof"
    for lease in held.leases:
        state = held.payments[lease.payment_id].state
        if state not in ("card-checked", "mac1-issued"):
            yield f"{lease.psam} is still lent to payment {lease.payment_id}, which is {state}"


def journals_balance(simulation: Simulation) -> Iterator[str]:
    """Every journal has at least two entries, which add up to zero; every entry belongs to a journal."""
    held = books(simulation)
    lines: dict[tuple[str, str], list[int]] = {(role, row.id): [] for role, row in held.journals}
    for role, row in held.entries:
        if (role, row.journal) not in lines:
            yield f"{role}: an entry belongs to journal {row.journal}, which is not there"
        lines.setdefault((role, row.journal), []).append(row.amount_fen)
    for (role, journal), amounts in lines.items():
        if len(amounts) < 2 or sum(amounts):
            yield f"{role}: journal {journal} has the entries {amounts}"


def balances_are_sums(simulation: Simulation) -> Iterator[str]:
    """What stands on each part of each account is the sum of its entries."""
    held = books(simulation)
    sums = Counter[tuple[str, str, int]]()
    for role, row in held.entries:
        sums[role, row.account, row.part] += row.amount_fen
    kept = {(role, row.account, row.part): row.balance_fen for role, row in held.balances}
    for place in sorted(sums.keys() | kept.keys()):
        if kept.get(place) != sums[place]:
            yield f"{place} has {kept.get(place)} fen, its entries add up to {sums[place]}"


def house_accounts_are_right(simulation: Simulation) -> Iterator[str]:
    """What stands on the house's accounts is what cards, wallet and BOSS say of the money themselves."""
    held = books(simulation)
    wanted: dict[tuple[str, str], int] = Counter()

    def stand(role: str, account: str, fen: int) -> None:
        wanted[role, account] += fen

    for row in held.payments.values():
        fen = row.amount_fen
        if row.state in UNKNOWN_IN_BOOKS:
            stand("tsp", "unknown:card", fen)
            stand("tsp", "unknown:contra", -fen)
        elif row.id in held.borne:
            stand("tsp", "expense:certificates", fen)
        elif row.id in held.charged:
            # The card's word, not the payment's.
            fen = sum(debit.amount_fen for debit in held.charged[row.id])
            stand("tsp", "receivable:card", fen)
        elif _wallet_has(held, row.id):
            fen = held.codes[row.id].amount_fen
            stand("tsp", "receivable:wallet:demo", fen)
        else:
            continue
        if row.state in ("paid", "service-refused"):
            stand("tsp", "suspense:orders", -fen)
    for order in held.boss_orders.values():
        if order.state == "opened":
            stand("tsp", "payable:boss", -order.amount_fen)
            stand("boss", "receivable:platform", order.amount_fen)
            stand("boss", f"revenue:{order.service}", -order.amount_fen)
    stands: dict[tuple[str, str], int] = Counter()
    for role, row in held.entries:
        stands[role, row.account] += row.amount_fen
    for role, account in sorted(wanted.keys() | stands.keys()):
        here, there = stands[role, account], wanted[role, account]
        if here != there:
            yield f"{role}: {here} fen stand on {account}, not {there}"


def check_finds_nothing(simulation: Simulation) -> Iterator[str]:
    """What ``stb-server check`` says of these databases: ledgers, histories, what is owed, leases, audit logs."""
    hosts = simulation.hosts
    with ExitStack() as stack:
        readers: list[Any] = [
            _Reader(stack.enter_context(opened(hosts[role].files))) if role in hosts else None
            for role in ("tsp", "boss", "ppp")
        ]
        examined = examine(*readers, hosts["tsp"].now(), Settings())
        try:
            examined.send(None)
        except StopIteration as end:
            findings = end.value
    for finding in findings:
        yield from (f"{finding.name}: {fault}" for fault in finding.faults)


@dataclass(frozen=True, slots=True)
class _Reader:
    """As much of a database as a check needs."""

    conn: Any

    async def read(self, work: Callable[[Any], Any]) -> Any:
        return work(self.conn)


def work_is_held_by_one(simulation: Simulation) -> Iterator[str]:
    """A job, and a delivery, is one process's at a time, until its lease is over."""
    for what, spans in simulation.held.items():
        if what.partition(" ")[0] in simulation.stepped:
            continue
        for place, first in enumerate(spans):
            for second in spans[place + 1 :]:
                over = first.until is not None and first.until <= second.begun
                if not over and second.begun < first.begun + first.lease_s - CLAIMING_S:
                    yield (
                        f"{what}: begun by {second.process.name} at {second.begun:.3f},"
                        f" in the hands of {first.process.name} since {first.begun:.3f}"
                    )


def leases_run_out(simulation: Simulation) -> Iterator[str]:
    """What a process that died had in hand is taken by another."""
    for role, tables in (("tsp", (tsp.jobs, tsp.outbox)), ("sandbox", (sandbox.outbox,))):
        long_ago = simulation.hosts[role].now() - timedelta(seconds=FORGOTTEN_S)
        for table in tables:
            left = table.c.claimed_by.is_not(None) & (table.c.due_at < long_ago)
            with opened(simulation.hosts[role].files) as conn:
                for row in conn.execute(select(table).where(left)):
                    yield f"{role} {table.name} {row.id} was due at {row.due_at} and is {row.claimed_by}'s until {row.claimed_until}"


def writes_can_be_repeated(simulation: Simulation) -> Iterator[str]:
    """A transaction that collided does the same when it is run again, as long as nobody has written meanwhile."""
    yield from simulation.unrepeatable


def moves_are_legal(simulation: Simulation) -> Iterator[str]:
    """The history of every row is a way through its machine, from its first state to the present one."""
    held = books(simulation)
    now = {
        **{
            ("tsp", row.id): row.state
            for row in (*held.orders.values(), *held.payments.values(), *held.loads.values())
        },
        **{("sandbox", row.id): row.state for row in held.codes.values()},
    }
    at: dict[tuple[str, str], str] = {}
    for role, move in held.moves:
        if not move.legal:
            continue
        row = (role, move.row)
        machine = MACHINES[move.machine]
        if at.get(row, FIRST[move.machine]) != move.origin or move.target not in LEGAL[machine.name].get(
            move.origin, frozenset()
        ):
            yield f"{move.machine} {move.row}: {move.origin} -> {move.target}"
        at[row] = move.target
    for row, state in at.items():
        if now[row] != state:
            yield f"{row[1]} is {now[row]}, its history ends in {state}"


LEGAL = {name: dict(machine.moves) for name, machine in MACHINES.items()}
"""As they stood before any test bent them."""


def everything_owed_is_delivered(simulation: Simulation) -> Iterator[str]:
    """Once all is calm nothing waits in an outbox, and what was delivered was acknowledged."""
    held = books(simulation)
    for role, row in held.outboxes:
        if row.delivered_at is None:
            yield f"{role} still owes {row.topic} {row.payload}: {row.last_error}"


def everything_ends(simulation: Simulation) -> Iterator[str]:
    """Once all is calm, and the card was there again, no payment is on its way any more."""
    held = books(simulation)
    with_card = {card.name for person in simulation.people if person.has_card for card in (person.mine,)}
    for row in held.payments.values():
        if row.state in ("opened", "failed", "cancelled", "expired", "refunded", "service-refused"):
            continue
        if held.cases.get(row.id):
            continue
        if row.state in ("mac1-issued", "cash-begun") and not _card_is_back(
            simulation, held, row.id, with_card
        ):
            continue
        yield f"payment {row.id} ({row.method}) is still {row.state}"
    for order in held.orders.values():
        live = [row.state for row in held.payments.values() if row.order_id == order.id and row.live]
        if order.state in ("quoted", "paying") and not live:
            yield f"order {order.id} is still {order.state}"


def _card_is_back(simulation: Simulation, held: Books, payment: str, with_card: set[str]) -> bool:
    """Whether the card that a payment began on was put in at the end."""
    if payment in held.certificates:
        return any(card.name in with_card for card in _cash_cards(simulation))
    serial = held.debits[payment].card_masked
    mine = {f"card {number}a" for number in range(len(simulation.boxes)) if serial.endswith("0001")}
    box = held.payments[payment].box_number
    number = next(place for place, one in enumerate(BOXES) if one == box)
    return f"card {number}a" in mine & with_card


def boxes_remember_what_is_open(simulation: Simulation) -> Iterator[str]:
    """A box remembers a payment only as long as nobody knows how it ended, and never loses a record."""
    held = books(simulation)
    for box in simulation.boxes:
        if not box.ready:
            yield f"{box.name} did not start"
        elif box.memory.broken:
            yield f"{box.name} has lost {box.memory.broken}"
    for payment in held.remembered:
        row = held.payments.get(payment)
        if row is None:
            yield f"payment {payment} is remembered, and nobody knows it"
        elif row.state not in OPEN_AT_TSP and not _never_began(held, row):
            yield f"payment {payment} is remembered, and is {row.state}"
    if any(person.has_card and isinstance(person.mine, CashCard) for person in simulation.people):
        for load in held.loads_remembered:
            yield f"load {load} is remembered though its card was there"


def _never_began(held: Books, row: Any) -> bool:
    """The TSP never let MAC1 out; the box remembers until its card is back to say so."""
    if row.id in held.certificates:
        return False
    return row.state in ("cancelled", "expired") and (
        row.id not in held.debits or held.debits[row.id].random is None
    )


def same_key_same_answer(simulation: Simulation) -> Iterator[str]:
    """A request that comes again is answered as it was the first time, as long as answers are kept."""
    for (role, who, key, path, _), (_, answers) in simulation.network.answers.items():
        if len(answers) > 1:
            yield f"{role} answered {path} of {who} with key {key} in {len(answers)} ways: {sorted(answers)}"


def keys_are_used_once(simulation: Simulation) -> Iterator[str]:
    """Nobody sends another request with an old key, except a box whose disk had no room for what it had sent."""
    full = {box.name for box in simulation.boxes if box.plan.full_disk}
    for who, path in simulation.network.reused:
        if who not in full:
            yield f"{who} used the key of another request for {path}"


def signatures_are_used_once(simulation: Simulation) -> Iterator[str]:
    """What a box has signed is carried out once, however often it comes."""
    for (path, _), times in simulation.network.effects.items():
        if times > 1:
            yield f"{path} was carried out {times} times for one signature"


def boxes_are_let_in(simulation: Simulation) -> Iterator[str]:
    """No box that has done nothing but what boxes do has lost its key, whatever it was interrupted in."""
    held = books(simulation)
    for key in held.keys.values():
        if key.ended is not None:
            yield f"the key of box {key.box_number} has ended: {key.ended}"
    for box in simulation.network.enrolled:
        yield f"{box} had to be enrolled anew"
    for box in simulation.boxes:
        told = _records(simulation, box)
        if isinstance(told, Problem):
            yield f"{box.name} is not let in: {told.code}"


def ended_keys_open_nothing(simulation: Simulation) -> Iterator[str]:
    """No signature of a key is accepted once its time is over, neither on the way nor at the end."""
    held = books(simulation)
    now = simulation.hosts["tsp"].now()
    ended = {
        key.key_id: key.valid_until
        for key in held.keys.values()
        if key.valid_until is not None and key.valid_until < now
    }
    for key, at in simulation.network.let_in.items():
        # A server's clock that was set back lives through some hours twice.
        if key in ended and at > ended[key] + KEY_LOOK and "tsp" not in simulation.stepped:
            yield f"key {key} has ended at {ended[key]} and was let in at {at}"
    for box in simulation.boxes:
        thief = box.thief()
        if thief is not None and thief.identity.key_id in ended:
            told = _asked(simulation, box, thief)
            code = told.code if isinstance(told, Problem) else "let in"
            if code != "key-replaced":
                yield f"whoever has an old key of {box.name} is told: {code}"


def answers_are_trusted(simulation: Simulation) -> Iterator[str]:
    """No box is told anything by its TSP that it does not believe, whatever key that has gone over to."""
    yield from simulation.distrusted


def _records(simulation: Simulation, box: Any) -> Any:
    """What the records of a box say, or why they cannot be seen; asked once."""
    if box.seen is None:
        box.seen = _asked(simulation, box, box.verbs.client)
    return box.seen


def _asked(simulation: Simulation, box: Any, client: Any) -> Any:
    told: list[Any] = []

    def ask() -> None:
        try:
            told.append(client.records())
        except Problem as problem:
            told.append(problem)

    attend(simulation, box, ask)
    return told[0]


def people_are_told_the_truth(simulation: Simulation) -> Iterator[str]:
    """What the screen said of money, and what the records say now, is what happened to it."""
    held = books(simulation)
    for box in simulation.boxes:
        for end in box.told:
            if end.payment is None:
                continue
            payment = end.payment.payment
            if end.money == "not-taken" and _in(held, payment):
                yield f"the screen said {end.outcome}, not taken; payment {payment} was charged"
            if end.money == "taken" and not _counts_as_paid(held, payment) and not _went_back(held, payment):
                yield f"the screen said {end.outcome}, taken; payment {payment} was not charged"
            if end.money == "returned" and not _went_back(held, payment):
                yield f"the screen said returned; payment {payment} was not"
        yield from _records_tell(simulation, held, box)
        for load, said in box.loads_told.items():
            row = held.loads.get(load)
            if row is None:
                continue  # nobody was asked for it
            booked, there = _load_stands(simulation, held, row)
            if "loaded" in said and not (booked and there):
                yield f"the screen said loaded; load {load} is booked {booked}, on the card {there}"
            may_differ = row.state == "disputed" or load in held.loads_remembered
            if "failed" in said and (booked or (there and not may_differ)):
                yield f"the screen said not loaded; load {load} is booked {booked}, on the card {there}"
            if said[-1] == "unknown" and not may_differ:
                yield f"the screen said not known yet, and never more; load {load} is {row.state}"


def _records_tell(simulation: Simulation, held: Books, box: Any) -> Iterator[str]:
    told = _records(simulation, box)
    for record in () if isinstance(told, Problem) else told.payments:
        payment, money = record.payment, record.money
        if money == "not-taken" and _in(held, payment):
            yield f"the records say not taken; payment {payment} was charged"
        if money == "taken" and not _counts_as_paid(held, payment):
            yield f"the records say taken; payment {payment} was not charged"
        if money == "returned" and not _went_back(held, payment):
            yield f"the records say returned; payment {payment} was not"


def _went_back(held: Books, payment: str) -> bool:
    return payment in held.codes and held.codes[payment].state == "refunded"


def nothing_broke(simulation: Simulation) -> Iterator[str]:
    """No fault that nobody thought of: in a log, in a task, in a flow of a box or a person."""
    yield from simulation.logged
    for actor in simulation.actors:
        if actor.failure is not None:
            yield f"{actor.name}: {actor.failure!r}"
        if "Person" in type(actor.owner).__name__ and not actor.over:
            yield f"{actor.name} never came to an end"


ALL: tuple[Check, ...] = (
    cards_add_up,
    every_debit_is_known,
    nobody_is_charged_twice,
    charged_is_served_or_open,
    nothing_unpaid_is_served,
    boss_and_tsp_agree,
    wallet_and_tsp_agree,
    psams_and_tsp_agree,
    unionpay_tsp_and_cards_agree,
    loads_agree,
    electronic_cash_is_whole,
    batches_agree,
    psams_are_lent_whole,
    journals_balance,
    balances_are_sums,
    house_accounts_are_right,
    check_finds_nothing,
    moves_are_legal,
    everything_owed_is_delivered,
    everything_ends,
    boxes_remember_what_is_open,
    same_key_same_answer,
    keys_are_used_once,
    signatures_are_used_once,
    boxes_are_let_in,
    ended_keys_open_nothing,
    answers_are_trusted,
    work_is_held_by_one,
    leases_run_out,
    writes_can_be_repeated,
    people_are_told_the_truth,
    nothing_broke,
)
