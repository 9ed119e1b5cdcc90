"""What must hold after every run, however much went wrong: money, services, books, and what people were told.

Each check takes the finished simulation and yields what is wrong. ``ALL`` is the list; a role that gets another set of
books (a ledger, a settlement) adds its checks there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.simulation.invariants import boxes, ledgers, loads, money, told, work
from tests.simulation.world import Simulation

Check = Callable[[Simulation], Iterator[str]]

ALL: tuple[Check, ...] = (
    money.cards_add_up,
    money.every_debit_is_known,
    money.nobody_is_charged_twice,
    money.charged_is_served_or_open,
    money.nothing_unpaid_is_served,
    money.boss_and_tsp_agree,
    money.wallet_and_tsp_agree,
    money.psams_and_tsp_agree,
    money.unionpay_tsp_and_cards_agree,
    loads.loads_agree,
    loads.electronic_cash_is_whole,
    money.batches_agree,
    work.psams_are_lent_whole,
    ledgers.journals_balance,
    ledgers.balances_are_sums,
    ledgers.house_accounts_are_right,
    ledgers.check_finds_nothing,
    work.moves_are_legal,
    work.everything_owed_is_delivered,
    work.everything_ends,
    boxes.boxes_remember_what_is_open,
    boxes.same_key_same_answer,
    boxes.keys_are_used_once,
    boxes.signatures_are_used_once,
    boxes.boxes_are_let_in,
    boxes.ended_keys_open_nothing,
    boxes.answers_are_trusted,
    work.work_is_held_by_one,
    work.leases_run_out,
    work.writes_can_be_repeated,
    told.people_are_told_the_truth,
    work.nothing_broke,
)
