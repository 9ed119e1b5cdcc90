"""Electronic cash in any order of paying, loading and pulling: no fen comes or goes by itself."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.cardreader.sim.emv.terminal import ARQC, PURCHASE, TC, Bench, changed

CARD = changed("electronic-cash")
LIMIT_FEN, SINGLE_FEN, FIRST_FEN = 100_000, 50_000, 18_650


class Purse(RuleBasedStateMachine):
    """The books of somebody who watches: what must be on the card, and how many transactions it has seen."""

    def __init__(self) -> None:
        super().__init__()
        self.bench = Bench(CARD)
        self.balance_fen, self.atc = FIRST_FEN, 17
        self.log: list[str] = []

    def begin(self, amount_fen: int, electronic_cash: bool) -> dict[str, str]:
        amount = f"{amount_fen:012}"
        self.bench.begin(f"{electronic_cash:02X}{amount}0156")
        self.atc += 1
        return {**PURCHASE, "9F02": amount}

    @rule(amount_fen=st.integers(0, 60_000), pulled=st.booleans())
    def pay(self, amount_fen: int, pulled: bool) -> None:
        values = self.begin(amount_fen, electronic_cash=True)
        if pulled:
            self.bench.card.power_on()
            return
        answer = self.bench.first(TC, values)
        if answer.cid == TC and amount_fen <= min(self.balance_fen, SINGLE_FEN):
            self.balance_fen -= amount_fen
        if answer.cid == TC:
            self.log.insert(0, values["9F02"])

    @rule(amount_fen=st.integers(0, 120_000), right=st.booleans())
    def load(self, amount_fen: int, right: bool) -> None:
        values = self.begin(0, electronic_cash=False)
        issuer = self.bench.issuer(self.bench.first(ARQC, values))
        self.bench.ok(issuer.authentication("00"))
        self.bench.second(TC, "00", values)
        self.log.insert(0, values["9F02"])
        script = issuer.script("04DA9F79", f"{self.balance_fen + amount_fen:012}")
        _, sw = self.bench.ask(script if right else script[:-2] + f"{int(script[-2:], 16) ^ 1:02X}")
        fits = self.balance_fen + amount_fen <= LIMIT_FEN
        assert sw == (0x6988 if not right else 0x9000 if fits else 0x6A80)
        if sw == 0x9000:
            self.balance_fen += amount_fen

    @rule()
    def again(self) -> None:
        """The card is put into another slot."""
        self.bench = Bench(CARD, self.bench.store)

    @invariant()
    def books_agree(self) -> None:
        self.bench.select()
        assert self.bench.ok("80CA9F7900") == f"9F7906{self.balance_fen:012}"
        assert self.bench.ok("80CA9F3600") == f"9F3602{self.atc:04X}"
        records = [record.hex()[12:24] for record in self.bench.state.log]
        assert records == self.log[:10]


TestPurse = Purse.TestCase
TestPurse.settings = settings(max_examples=10, stateful_step_count=15, deadline=None)
