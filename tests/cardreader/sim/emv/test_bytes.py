"""Whatever bytes come, the card answers with a status word; and a card that is pulled is before or after."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cardreader.errors import ProtocolError
from cardreader.sim.emv.card import EmvCard
from cardreader.sim.emv.state import CardState, fresh
from cardreader.sim.profiles import find_profile, open_card, reset
from cardreader.sim.store import Contents, FileStore, MemoryStore
from tests.cardreader.sim.emv.terminal import ARQC, PURCHASE, TC, Bench, Issuer, changed

EMV = ["debit", "debit-sda", "debit-cda", "debit-t0", "credit", "electronic-cash"]
KNOWN_INS = [
    0xA4,
    0xB2,
    0xB0,
    0xA8,
    0xCA,
    0xAE,
    0x20,
    0x82,
    0x84,
    0x88,
    0xDA,
    0xDC,
    0x24,
    0x1E,
    0x18,
    0x16,
    0xC0,
]
PDOLS = {"credit": "01560156", "electronic-cash": "01" + PURCHASE["9F02"] + "0156"}
CARDS = {name: changed(name) for name in EMV}

apdus = st.one_of(
    st.binary(max_size=300),
    st.builds(
        lambda cla, ins, p1, p2, data, le: (
            bytes((cla, ins, p1, p2)) + (bytes((len(data),)) + data if data else b"") + le
        ),
        st.sampled_from([0x00, 0x80, 0x04, 0x84]),
        st.sampled_from(KNOWN_INS),
        st.sampled_from([0x00, 0x04, 0x40, 0x50, 0x80, 0x90, 0x9F]) | st.integers(0, 255),
        st.sampled_from([0x00, 0x02, 0x0C, 0x14, 0x80, 0x88, 0x58, 0x79]) | st.integers(0, 255),
        st.binary(max_size=255) | st.sampled_from([10, 34, 52, 128]).map(bytes),
        st.sampled_from([b"", b"\x00", b"\x08"]),
    ),
)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(EMV), st.integers(0, 3), st.lists(apdus, max_size=12))
def test_any_bytes_get_a_status_word(name: str, steps: int, commands: list[bytes]) -> None:
    bench = Bench(CARDS[name])
    prefix = (bench.begin, lambda pdol: bench.gac(ARQC), lambda pdol: bench.gac(TC, PURCHASE, "00"))
    if name != "debit-t0":
        for step in prefix[:steps]:
            step(PDOLS.get(name, ""))
    for apdu in commands:
        data, sw = bench.card.transmit(apdu)
        assert len(data) <= 256
        assert 0x6100 <= sw <= 0x9FFF
    # What it remembers by now can be written down and read again.
    state = bench.card.state
    assert CardState.from_contents(state.to_contents()) == state


class Tearing(MemoryStore):
    """The card leaves the slot right after, or right before, its n-th write."""

    def __init__(self, contents: Contents | None, at: int, written: bool) -> None:
        super().__init__()
        if contents is not None:
            super().save(contents)
        self.writes = 0
        self._at, self._written = at, written

    def save(self, contents: Contents) -> None:
        self.writes += 1
        if self.writes == self._at:
            if self._written:
                super().save(contents)
            raise Pulled
        super().save(contents)


class Pulled(Exception):
    """Power is gone."""


def offline(bench: Bench) -> None:
    bench.begin(PDOLS["electronic-cash"])
    bench.gac(TC)


def load(bench: Bench) -> None:
    bench.begin("00" * 7 + "0156")
    issuer = Issuer(bench.profile.pan, "01", bench.first(ARQC))
    bench.ask(issuer.authentication("00"))
    bench.ask(issuer.script("04DA9F79", "000000020000"))
    bench.gac(TC, PURCHASE, "00")


def wrong_pin(bench: Bench) -> None:
    bench.begin("00" * 7 + "0156")
    bench.ask("0020008008" + "26123457FFFFFFFF")
    bench.ask("0020008008" + "26123456FFFFFFFF")


def all_states(work: Callable[[Bench], None]) -> list[Contents]:
    """What the store holds after each write of an undisturbed run, the first being the new card."""

    class Remembering(MemoryStore):
        def __init__(self) -> None:
            super().__init__()
            self.kept = [fresh(CARDS["electronic-cash"]).to_contents()]

        def save(self, contents: Contents) -> None:
            self.kept.append(contents)
            super().save(contents)

    store = Remembering()
    work(Bench(CARDS["electronic-cash"], store))
    return store.kept


@pytest.mark.parametrize("work", [offline, load, wrong_pin])
def test_a_card_that_is_pulled_is_before_or_after(work: Callable[[Bench], None]) -> None:
    states = all_states(work)
    assert len(states) >= 3
    for at in range(1, len(states)):
        for written in (False, True):
            store = Tearing(None, at, written)
            with pytest.raises(Pulled):
                work(Bench(CARDS["electronic-cash"], store))
            again = Bench(CARDS["electronic-cash"], MemoryStoreWith(store.load()))
            assert again.card.state.to_contents() == states[at if written else at - 1]
            # And it works on: the next purchase is paid, with the next number.
            before = again.state
            again.begin(PDOLS["electronic-cash"])
            answer = again.first(TC)
            assert int.from_bytes(answer.atc) == before.atc + 1


def MemoryStoreWith(contents: Contents | None) -> MemoryStore:
    return Tearing(contents, 0, False)


def test_money_and_log_never_part() -> None:
    """Of every state that an offline purchase goes through, balance and log tell the same."""
    for contents in all_states(offline):
        state = CardState.from_contents(contents).applications[CARDS["electronic-cash"].applications[0].aid]
        balance = state.objects.get(0x9F79, bytes.fromhex("000000018650")).hex()
        assert (balance, len(state.log)) in (("000000018650", 0), ("000000016660", 1))


def test_it_is_remembered_in_a_file(tmp_path: Path) -> None:
    bench = Bench("electronic-cash", FileStore(tmp_path / "card-electronic-cash.json"))
    offline(bench)
    again = open_card("electronic-cash", str(tmp_path))
    assert isinstance(again, EmvCard)
    assert again.state == bench.card.state
    assert again.number == "6217001834057294204"
    reset("electronic-cash", str(tmp_path))
    profile = find_profile("electronic-cash")
    assert EmvCard(profile, FileStore(tmp_path / "card-electronic-cash.json")).state == fresh(profile)


@pytest.mark.parametrize(
    "contents",
    [{}, {"applications": []}, {"applications": {}, "card_blocked": False}, {"applications": {"zz": {}}}],
)
def test_a_damaged_state_is_said(contents: Contents) -> None:
    with pytest.raises(ProtocolError, match="the state of card debit is damaged"):
        EmvCard(CARDS["debit"], MemoryStoreWith(contents))
