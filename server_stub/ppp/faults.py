"""What PPP does wrong on demand, for those who test what is in front of it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Faults(BaseModel):
    """What PPP does wrong at present, to every message.

    Attributes:
        drop_requests: a message is not worked on, and has no answer.
        drop_answers: it is worked on, and has no answer.
        late_seconds: so much later it is answered.
        wrong_mac: answers have a MAC that is none.
        refuse: every message of ``refuse_mti`` is answered with this code (bit 39), and nothing is done about it.
        refuse_mti: e.g. ``0200``.
        script: what every answer to a good cryptogram tells the card to do after it (72): CLA, INS, P1, P2 and data in
            hex; its MAC is added. ``84240000`` gives a card its PIN tries back.
    """

    drop_requests: bool = False
    drop_answers: bool = False
    late_seconds: float = Field(default=0.0, ge=0, le=300)
    wrong_mac: bool = False
    refuse: str | None = Field(default=None, pattern=r"^[0-9A-Z]{2}$")
    refuse_mti: str = Field(default="0200", pattern=r"^[0-9]{4}$")
    script: str | None = Field(default=None, pattern=r"^[08]4[0-9A-F]{6}([0-9A-F]{2}){0,100}$")

    def refuses(self, mti: str) -> str | None:
        """The code that such a message is refused with, if it is."""
        return self.refuse if mti == self.refuse_mti else None
