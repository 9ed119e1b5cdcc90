"""The platform as a POS terminal of PPP: sign-in, working keys, STANs, and messages with their MAC (cards.md D10).

All processes of the TSP are one terminal: its batch, last STAN and working keys are a row. The keys are the HSM's key blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

import structlog
from sqlalchemy import Connection, Row

from server_stub.foundation import statements
from server_stub.foundation.clock import Clock
from server_stub.foundation.database import Database
from server_stub.foundation.iso8583 import (
    FieldMissing,
    Iso8583Error,
    Message,
    Network,
    Original,
    Value,
    decode,
    encode,
)
from server_stub.foundation.secret import CardNumber, SecretBytes
from server_stub.tsp.hsm.errors import HsmError
from server_stub.tsp.hsm.keys import KeyBlock, Usage
from server_stub.tsp.hsm.module import Hsm
from server_stub.tsp.ppp_line import Line, Unanswered
from server_stub.tsp.tables import pos_terminals

SIGN_IN = "004"
"""Double-length keys, and one for tracks: a track never leaves the HSM in clear."""
SALE, SALE_KIND, CHIP = "000000", "22", "5"
"""Bit 3, 60.1, and 60.4: the terminal reads chips."""
CASH_KIND, CASH_UPLOAD = "36", "204"
"""60.1 and 60.3 of a purchase with electronic cash, told after it."""
CURRENCY, CONDITION, LONGEST_PIN = "156", "00", "12"
WITH_PIN, WITHOUT_PIN = ("051", "2600000000000000"), ("052", "0600000000000000")
"""Bits 22 and 53."""
NO_ANSWER, MAC_WRONG, SYSTEM = "98", "A0", "06"
"""Why a sale is reversed (bit 39 of 0400)."""
APPROVED = "00"
REVERSED = frozenset({APPROVED, "12", "25"})
"""Answers to 0400 after which nothing of the sale is left."""
SCRIPT_RESULT, SETTLE, UPLOAD, UPLOAD_END = "951", "201", "203", "207"
"""60.3 of 0620, 0500, and 0320 with an IC card's certificate and after the last one."""
MAC_REFUSED, OTHER_BATCH = "A0", "77"
HIGHEST_STAN = 999_999
FIRST_BATCH = "000001"
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What an 0200 is: bit 3, 60.1 and bit 25."""

    code: str
    kind: str
    condition: str


PURCHASE = Kind(SALE, SALE_KIND, CONDITION)
LOAD = Kind("600000", "45", "91")
"""Electronic cash from the card's own account."""
BALANCE = Kind("310000", "01", CONDITION)


@dataclass(frozen=True, slots=True)
class Keys:
    """The working keys of the last sign-in."""

    pik: KeyBlock
    mak: KeyBlock
    tdk: KeyBlock


@dataclass(frozen=True, slots=True)
class Slip:
    """What names a sale for ever: terminal, batch and STAN."""

    batch: str
    stan: str


@dataclass(frozen=True, slots=True)
class Totals:
    """Sum and number of a batch's sales, as bit 48 has them: the number has three digits, and begins again after them."""

    MOST: ClassVar[int] = 1000
    fen: int
    count: int

    def __str__(self) -> str:
        """Debits; there are no credits.

        >>> str(Totals(1500, 1))
        '000000001500001000000000000000'
        """
        return f"{self.fen:012d}{self.count % self.MOST:03d}{0:015d}"

    @classmethod
    def parse(cls, digits: str) -> Totals:
        """Of the first 30 digits of bit 48."""
        return cls(int(digits[:12]), int(digits[12:15]))


@dataclass(frozen=True, slots=True)
class Access:
    """How this platform gets to PPP.

    Attributes:
        terminal, merchant: bits 41 and 42.
        tmk: components of the terminal's master key where its custodians have brought none (``bring_tmk``).
    """

    line: Line
    terminal: str
    merchant: str
    tmk: Sequence[SecretBytes]


class Pos:
    """One terminal.

    Raises:
        CannotStart: from the database.
    """

    def __init__(self, database: Database, clock: Clock, hsm: Hsm, access: Access) -> None:
        self._database = database
        self._clock = clock
        self._hsm = hsm
        self._line = access.line
        self._terminal = access.terminal
        self._merchant = access.merchant
        self._tmk = hsm.form_key(Usage.TMK, access.tmk)
        first = {"id": access.terminal, "batch": FIRST_BATCH, "stan": 0}
        database.load(lambda conn: statements.insert_once(conn, pos_terminals, first))

    @property
    def terminal(self) -> str:
        """Bit 41."""
        return self._terminal

    async def keys(self) -> Keys:
        """The working keys, for something that goes into the open batch; signs in when there are none.

        Raises:
            Unanswered: also while the batch is settled.
        """
        row = await self._row()
        if row.closing == row.batch:
            raise Unanswered("the batch is being settled", sent=False)
        return await self._keys(row)

    async def batch(self) -> str:
        """The batch that was open at the last sign-in."""
        return str((await self._row()).batch)

    def open_batch(self, conn: Connection) -> str:
        """The same, with the terminal locked: nothing comes into the batch meanwhile."""
        return str(self._locked(conn).batch)

    def close_batch(self, conn: Connection, batch: str) -> None:
        """Nothing more goes into a batch: it is settled now. The next one comes with a sign-in."""
        statements.change(conn, pos_terminals, {"closing": batch}, id=self._terminal)

    async def sign_in(self) -> Keys:
        """Fetches new working keys. Raises Unanswered."""
        slip, row = await self._database.write(lambda conn: (self.slip(conn), self._locked(conn)))
        tmk = self._tmk_of(row)
        fields: dict[int, Value] = {
            11: slip.stan,
            41: self._terminal,
            42: self._merchant,
            60: str(Network("00", slip.batch, SIGN_IN)),
            63: "001",
        }
        said = self._answer_to(slip, "0800", decoded(await self._line.ask(encode(Message("0800", fields)))))
        if said.text(39) != APPROVED:
            raise Unanswered(f"PPP lets nobody sign in: {said.text(39)}", sent=False)
        try:
            made = self._hsm.import_working_keys(tmk, said.data(62))
        except (HsmError, FieldMissing) as error:
            raise Unanswered(f"PPP's working keys cannot be used: {error}", sent=False) from error
        if made.tdk is None:
            raise Unanswered("PPP gives no key for tracks", sent=False)
        values: dict[str, object] = {
            "batch": said.network.batch,
            "pik": made.pik,
            "mak": made.mak,
            "tdk": made.tdk,
        }
        values["signed_in_at"] = self._clock.now()
        await self._database.write(
            lambda conn: statements.change(conn, pos_terminals, values, id=self._terminal)
        )
        log.info("ppp-signed-in", terminal=self._terminal, batch=values["batch"])
        return Keys(made.pik, made.mak, made.tdk)

    async def concealing(self) -> Callable[[CardNumber, str], str]:
        """Seals a purse's serial for a line that only PPP can read; given the serial and the line's reference."""
        tmk = self._tmk_of(await self._row())
        return lambda serial, reference: self._hsm.conceal_serial(tmk, serial, reference)

    def slip(self, conn: Connection) -> Slip:
        """The next STAN of the batch, in a transaction that keeps what it is for."""
        row = self._locked(conn)
        stan = row.stan % HIGHEST_STAN + 1
        statements.change(conn, pos_terminals, {"stan": stan}, id=self._terminal)
        return Slip(row.batch, f"{stan:06d}")

    async def sale(
        self, slip: Slip, keys: Keys, amount_fen: int, card: Mapping[int, Value], *, has_pin: bool, kind: Kind = PURCHASE
    ) -> Message:  # fmt: skip
        """0200: the answer.

        Args:
            card: bits 23, 35, 52 and 55, as far as there are such.

        Raises:
            Unanswered: then the sale may have been booked, if it was sent.
        """
        entry, security = WITH_PIN if has_pin else WITHOUT_PIN
        fields = {**self._common(slip, amount_fen, entry, kind), **card, 53: security}
        if has_pin:
            fields[26] = LONGEST_PIN
        return await self._exchange(slip, "0200", fields, keys)

    async def present(
        self, slip: Slip, amount_fen: int, card: Callable[[Keys], Mapping[int, Value]]
    ) -> Message:
        """0320 of a purchase that a card has paid with its electronic cash: the answer.

        Args:
            card: bits 23, 35 and 55, under these working keys.

        Raises:
            Unanswered
        """
        keys = await self.keys()
        said = await self._exchange(slip, "0320", self._certified(slip, amount_fen, card(keys)), keys)
        if said.text(39) == MAC_REFUSED:
            keys = await self.sign_in()
            said = await self._exchange(slip, "0320", self._certified(slip, amount_fen, card(keys)), keys)
        return said

    async def reverse(
        self, slip: Slip, amount_fen: int, reason: str, chip: bytes, kind: Kind = PURCHASE
    ) -> Message:
        """0400: the answer.

        Args:
            reason: bit 39.
            chip: bit 55 of a reversal: 95, 9F10, 9F36.

        Raises:
            Unanswered
        """
        fields = self._common(slip, amount_fen, WITHOUT_PIN[0], kind)
        fields |= {39: reason, 61: str(Original(slip.batch, slip.stan))}
        if chip:
            fields[55] = chip
        return await self._tell(slip, "0400", fields)

    async def script_result(self, slip: Slip, original: Slip, chip: bytes) -> Message:
        """0620: the answer.

        Args:
            slip: its own.
            original: of the message whose answer had the scripts.
            chip: bit 55 of a script result: DF31 and what else the card has said at its end.

        Raises:
            Unanswered
        """
        fields = self._about(slip, SCRIPT_RESULT)
        about = str(Original(original.batch, original.stan))
        return await self._tell(slip, "0620", {**fields, 55: chip, 61: about})

    async def settle(self, batch: str, told: Totals) -> Totals:
        """0500: PPP closes the batch, and says what it has counted. Raises Unanswered: also where PPP does not do it."""
        fields = self._about(await self._own(batch), SETTLE)
        fields |= {48: f"{told}0{'0' * 31}", 49: CURRENCY}
        said = await self._tell(Slip(batch, str(fields[11])), "0500", fields)
        if said.text(39) != APPROVED:
            raise Unanswered(f"the settlement was answered {said.text(39)}", sent=True)
        return Totals.parse(said.text(48))

    async def upload(self, slip: Slip, amount_fen: int, chip: bytes) -> Message:
        """0320 of a sale that was approved online: the answer.

        Args:
            slip: the sale's.
            chip: what the card has said at its end, with its TC.

        Raises:
            Unanswered
        """
        fields = self._about(slip, UPLOAD)
        return await self._tell(slip, "0320", {**fields, 4: f"{amount_fen:012d}", 55: chip})

    async def end_upload(self, batch: str) -> Message:
        """0320 after the last one: the answer. Raises Unanswered."""
        slip = await self._own(batch)
        return await self._tell(slip, "0320", self._about(slip, UPLOAD_END))

    async def _own(self, batch: str) -> Slip:
        """A number for a message about a batch."""
        return Slip(batch, (await self._database.write(self.slip)).stan)

    def _about(self, slip: Slip, code: str) -> dict[int, Value]:
        """Fields of what is told of a batch.

        Args:
            code: 60.3.
        """
        network = Network("00", slip.batch, code, CHIP, "0")
        return {11: slip.stan, 41: self._terminal, 42: self._merchant, 60: str(network)}

    async def _row(self) -> Row[Any]:
        row = await self._database.look(lambda conn: statements.one(conn, pos_terminals, id=self._terminal))
        assert row is not None
        return row

    def _locked(self, conn: Connection) -> Row[Any]:
        row = statements.one(conn, pos_terminals, lock=True, id=self._terminal)
        assert row is not None
        return row

    def _tmk_of(self, row: Row[Any]) -> KeyBlock:
        return self._tmk if row.tmk is None else KeyBlock(row.tmk)

    async def _keys(self, row: Row[Any]) -> Keys:
        if row.mak is None:
            return await self.sign_in()
        return Keys(KeyBlock(row.pik), KeyBlock(row.mak), KeyBlock(row.tdk))

    async def _tell(self, slip: Slip, mti: str, fields: Mapping[int, Value]) -> Message:
        """What may be said again under other keys: it counts once. Raises Unanswered."""
        said = await self._exchange(slip, mti, fields, await self._keys(await self._row()))
        if said.text(39) == MAC_REFUSED:
            said = await self._exchange(slip, mti, fields, await self.sign_in())
        return said

    def _certified(self, slip: Slip, amount_fen: int, card: Mapping[int, Value]) -> dict[int, Value]:
        network = Network(CASH_KIND, slip.batch, CASH_UPLOAD, CHIP, "0")
        return {**self._common(slip, amount_fen, WITHOUT_PIN[0]), **card, 60: str(network)}

    def _common(self, slip: Slip, amount_fen: int, entry: str, kind: Kind = PURCHASE) -> dict[int, Value]:
        return {
            3: kind.code,
            4: f"{amount_fen:012d}",
            11: slip.stan,
            22: entry,
            25: kind.condition,
            41: self._terminal,
            42: self._merchant,
            49: CURRENCY,
            60: str(Network(kind.kind, slip.batch, "000", CHIP, "0")),
        }

    async def _exchange(self, slip: Slip, mti: str, fields: Mapping[int, Value], keys: Keys) -> Message:
        asked = encode(Message(mti, fields), lambda covered: self._hsm.mac(keys.mak, covered))
        said = self._answer_to(slip, mti, decoded(await self._line.ask(asked)))
        if said.text(39) == MAC_REFUSED:
            return said  # PPP has no key, or another one, and so no MAC of its own to show
        if not said.covered or not self._hsm.verify_mac(keys.mak, said.covered, said.data(64)):
            raise Unanswered("the MAC of PPP's answer is wrong", sent=True)
        return said

    def _answer_to(self, slip: Slip, mti: str, said: Message) -> Message:
        try:
            mine = (said.mti, said.text(11), said.text(41)) == (
                f"{int(mti) + 10:04d}",
                slip.stan,
                self._terminal,
            )
            said.text(39)
        except FieldMissing as error:
            raise Unanswered(f"PPP's answer: {error}", sent=True) from error
        if not mine:
            raise Unanswered("PPP has answered something else", sent=True)
        return said


def bring_tmk(conn: Connection, terminal: str, tmk: KeyBlock, now: datetime) -> None:
    """A terminal has a master key from its custodians; it signs in with that before it asks anything else."""
    statements.insert_once(conn, pos_terminals, {"id": terminal, "batch": FIRST_BATCH, "stan": 0})
    values = {"tmk": tmk, "tmk_at": now, "pik": None, "mak": None, "tdk": None}
    statements.change(conn, pos_terminals, values, id=terminal)


def decoded(data: bytes) -> Message:
    """A message. Raises Unanswered: it is none."""
    try:
        return decode(data)
    except Iso8583Error as error:
        raise Unanswered(f"PPP's answer: {error}", sent=True) from error
