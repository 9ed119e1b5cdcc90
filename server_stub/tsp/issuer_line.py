"""How a card's issuer is asked through PPP: what of an envelope goes into the message, and what of the answer is believed."""

from __future__ import annotations

import structlog

from server_stub.foundation.iso8583 import Message, Value
from server_stub.foundation.problems import Problem
from server_stub.tsp.envelopes import Opened
from server_stub.tsp.hsm.module import Hsm
from server_stub.tsp.pos import MAC_REFUSED, OTHER_BATCH, PURCHASE, Keys, Kind, Pos, Slip
from server_stub.tsp.ppp_line import Unanswered

DECLINED = {
    "51": "too-little-on-account",
    "54": "card-expired",
    "14": "card-issuer-unknown",
    "15": "card-issuer-unknown",
    "41": "card-listed",
    "43": "card-listed",
    "55": "pin-refused",
    "75": "pin-blocked",
    "61": "over-limit",
}
"""Why an issuer declines (bit 39), where the subscriber can be told more than that it does."""
log = structlog.get_logger(__name__)


def why(code: str) -> str:
    """What the subscriber is told of a bit 39 that approves nothing."""
    return DECLINED.get(code, "declined-by-issuer")


class IssuerLine:
    """The way to the issuers.

    Args:
        pos: None where no PPP is configured: nothing is offered then.
    """

    def __init__(self, hsm: Hsm, pos: Pos | None) -> None:
        self._hsm = hsm
        self._pos = pos

    @property
    def pos(self) -> Pos:
        """Raises Problem ``method-not-offered``."""
        if self._pos is None:
            raise Problem("method-not-offered", method="card")
        return self._pos

    async def keys(self) -> Keys:
        """The working keys. Raises Problem ``ppp-unreachable``."""
        try:
            return await self.pos.keys()
        except Unanswered as error:
            log.warning("ppp-unreachable", error=str(error))
            raise Problem("ppp-unreachable") from error

    async def ask(
        self, slip: Slip, keys: Keys, amount_fen: int, opened: Opened, purpose: str, chip: str, kind: Kind = PURCHASE
    ) -> Message | None:  # fmt: skip
        """0200: the answer; None where there is none that can be believed: then it may have been booked.

        Args:
            purpose: what the envelope was sealed for.
            chip: bit 55, in hex.
        """
        try:
            fields = self._fields(opened, purpose, keys, chip)
            said = await self.pos.sale(slip, keys, amount_fen, fields, has_pin=opened.card.has_pin, kind=kind)
        except Unanswered as error:
            log.warning("ppp-unanswered", subject=purpose, sent=error.sent, error=str(error))
            return None
        if said.text(39) == MAC_REFUSED:
            # PPP has other keys, or it was not PPP that spoke: such an answer has no MAC, and proves nothing.
            log.warning("ppp-unanswered", subject=purpose, sent=True, error="the MAC was refused")
            await self._sign_in_again()
            return None
        if said.text(39) == OTHER_BATCH:
            # Nothing is booked, and nothing ever would be: the next sale goes into the batch that is open.
            log.warning("ppp-other-batch", subject=purpose, batch=slip.batch)
            await self._sign_in_again()
        return said

    async def _sign_in_again(self) -> None:
        try:
            await self.pos.sign_in()
        except Unanswered as error:
            log.warning("ppp-unreachable", error=str(error))

    def _fields(self, opened: Opened, purpose: str, keys: Keys, chip: str) -> dict[int, Value]:
        """Bits 23, 35, 52 and 55."""
        card = opened.card
        fields: dict[int, Value] = {55: bytes.fromhex(chip)}
        fields[35] = self._hsm.encrypt_track(card.sealed, purpose, keys.tdk)
        if card.sequence_number is not None:
            fields[23] = f"{card.sequence_number:03d}"
        if card.has_pin:
            fields[52] = self._hsm.translate_pin(opened.envelope, opened.private_key, purpose, keys.pik)
        return fields


def kept_of(said: Message, now: object) -> dict[str, object]:
    """What is kept of an answer, by column."""
    chip = said.fields.get(55, b"")
    return {
        "response_code": said.text(39),
        "answered_at": now,
        "retrieval_reference": said.fields.get(37),
        "authorisation_code": said.fields.get(38),
        "chip_answer": chip.hex().upper() if isinstance(chip, bytes) else "",
    }
