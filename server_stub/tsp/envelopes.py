"""Envelopes that boxes have sealed for the HSM, opened: what may be known of the card in one."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from server_stub.foundation.problems import Problem
from server_stub.tsp.card_keys import CardKeys, envelope_of
from server_stub.tsp.hsm.envelope import Envelope
from server_stub.tsp.hsm.errors import EnvelopeRefused
from server_stub.tsp.hsm.keys import KeyBlock
from server_stub.tsp.hsm.module import AcceptedCard, Hsm
from server_stub.tsp.models import CardEnvelope


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope with what the HSM takes it for.

    Attributes:
        envelope: as it came.
        private_key: that opens it, wrapped.
        card: what may be known of the card.
    """

    envelope: Envelope
    private_key: KeyBlock
    card: AcceptedCard


class Envelopes:
    """Opens envelopes.

    Args:
        hsm: alone can.
        keys: the key pairs that boxes seal for.
    """

    def __init__(self, hsm: Hsm, keys: CardKeys) -> None:
        self._hsm = hsm
        self._keys = keys

    async def opened(self, body: CardEnvelope, purpose: str) -> Opened:
        """The envelope of a request.

        Args:
            purpose: the id of what it was sealed for: a payment, a load.

        Raises:
            Problem: ``bad-request``.
        """
        envelope = envelope_of(body)
        private_key = await self._keys.private_key(envelope.key_id)
        if private_key is None:
            raise Problem("bad-request", field="body.envelope.key_id", kind="unknown_key")
        try:
            # RSA takes milliseconds: others need not wait for it.
            card = await asyncio.to_thread(self._hsm.accept, envelope, private_key, purpose)
        except EnvelopeRefused as error:
            raise Problem("bad-request", field="body.envelope", kind=error.part) from error
        return Opened(envelope, private_key, card)
