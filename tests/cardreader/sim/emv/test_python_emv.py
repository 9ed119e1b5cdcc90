"""Somebody else's EMV library, python-emv (PyPI), pays with a card through a real pcscd."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cardreader.pcsc import PcscReader
from tests.cardreader.sim.emv.terminal import PURCHASE, Answer, Bench
from tests.pcscd import VIRTUAL_READER, InsertedCard, poll

pytestmark = pytest.mark.pcscd

_SCRIPT = Path(__file__).with_name("python_emv.py")
# Apart from our own packages: it wants versions of pyscard and click that are long gone, and works with today's.
_OTHERS = Path(sys.prefix) / "others"
_VALUES = {**PURCHASE, "8A": b"00".hex()}


def test_python_emv_pays(pcscd: None, tmp_path: Path) -> None:
    bench = Bench("debit-t0")
    card = InsertedCard("debit-t0", tmp_path)
    try:
        poll(PcscReader(VIRTUAL_READER).card_present, 5, "the card in the reader")
        with subprocess.Popen(
            [sys.executable, str(_SCRIPT), VIRTUAL_READER, json.dumps(_VALUES)],
            env={**os.environ, "PYTHONPATH": str(_OTHERS)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as terminal:
            assert terminal.stdin is not None
            assert terminal.stdout is not None
            read = json.loads(terminal.stdout.readline())
            arqc = Answer("8013" + read["arqc"])
            issuer = bench.issuer(arqc)
            print(issuer.authentication("00"), file=terminal.stdin, flush=True)
            paid = json.loads(terminal.stdout.readline())
    finally:
        card.pull()
    assert read["application"] == bench.aid.hex()
    assert read["pan"] == bench.profile.pan
    assert read["metadata"] == {"pin_retries": 3, "atc": 18, "last_online_atc": 16}
    assert (arqc.cid, arqc.cvr, arqc.ac) == (0x80, "03A40000", issuer.ac("7C00"))
    tc = Answer("8013" + paid["tc"])
    assert (paid["authenticated"], tc.cid, tc.cvr) == ("9000", 0x40, "03640000")
    assert tc.ac == issuer.ac("7C00", tc)
