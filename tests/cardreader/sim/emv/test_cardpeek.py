"""Somebody else's card program, cardpeek (Debian), reads the cards through a real pcscd."""

from __future__ import annotations

import os
import subprocess
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cardreader.pcsc import PcscReader
from cardreader.sim.store import FileStore
from tests.cardreader.sim.emv.terminal import PURCHASE, TC, Bench
from tests.pcscd import VIRTUAL_READER, InsertedCard, poll

pytestmark = pytest.mark.pcscd

# Its EMV script asks before GET PROCESSING OPTIONS; the tree that it shows is printed as XML.
_SCRIPT = """
require('lib.treeflex')
ui.question = function(text, buttons) return 1 end
dofile('emv.lua')
print(nodes.to_xml(nodes.root()))
os.exit(0)
"""
# At its first start it asks whether it may put its scripts into the home folder. At the end of its input it would
# ask for ever: there is always an end to read.
_YES, _END = "1\n" * 2, "os.exit(1)\n" * 20
_MAX_OUTPUT = 1 << 20


def cardpeek(home: Path, answers: str, script: str) -> str:
    """Runs it without a window; what it prints, up to a megabyte."""
    with open(home / "input", "w+") as given:
        given.write(answers + _END)
        given.seek(0)
        process = subprocess.Popen(
            ["cardpeek", "-c", "-r", f"pcsc://{VIRTUAL_READER}", "-e", " ".join(script.split())],
            stdin=given,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env={**os.environ, "HOME": str(home)},
        )
    assert process.stdout is not None
    said = process.stdout.read(_MAX_OUTPUT)
    process.kill()
    process.wait()
    process.stdout.close()
    return said.decode(errors="replace")


def texts(tree: ET.Element, label: str) -> list[str]:
    """What it has made of every object that it calls so."""
    found = []
    for node in tree.iter("node"):
        named = {attribute.get("name"): attribute.text or "" for attribute in node.findall("attr")}
        if named.get("label") == label:
            found.append(named.get("alt") or named.get("val", ""))
    return found


@pytest.mark.parametrize(
    ("profile", "pdol"), [("credit", "01560156"), ("electronic-cash", "01000000001990" + "0156")]
)
def test_cardpeek_reads_the_whole_card(pcscd: None, tmp_path: Path, profile: str, pdol: str) -> None:
    before = Bench(profile, FileStore(tmp_path / f"card-{profile}.json"))
    before.begin(pdol)
    assert before.first(TC, PURCHASE).cid == 0x40
    cardpeek(tmp_path, _YES, "os.exit(0)")
    card = InsertedCard(profile, tmp_path)
    try:
        poll(PcscReader(VIRTUAL_READER).card_present, 5, "the card in the reader")
        said = cardpeek(tmp_path, "", _SCRIPT)
    finally:
        card.pull()
    tree = ET.fromstring(said[said.index("<cardpeek") : said.index("</cardpeek>") + len("</cardpeek>")])
    assert before.profile.pan in texts(tree, "Application PAN")[0]
    assert texts(tree, "Application Transaction Counter (ATC)")[0] == "19"
    assert texts(tree, "Cardholder Name") == ["ZHANG/MIN"]
    assert len(texts(tree, "ICC Public Key Certificate")) == 1
    # The log, by the format that the card names.
    assert texts(tree, "Amount, Authorized") == ["19.90"]
    assert texts(tree, "Transaction Date") == ["11/22/26"]
