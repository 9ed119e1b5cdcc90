"""The demo issuers and their master keys. Public on purpose: no real card or PSAM knows them."""

from __future__ import annotations

from dataclasses import dataclass

from cardreader.pboc.crypto import diversify

KEY_INDEX = 1
KEY_VERSION = 1
ALGORITHM_DES = 0


@dataclass(frozen=True, slots=True)
class Issuer:
    """An issuer of demo cards. All keys are master keys of 16 bytes, diversified by card serial number.

    Attributes:
        name: what `ISSUERS` calls it.
        issuer_id: 8 bytes, as in EF 0015 and in the PSAM's EF 0017.
        purchase_key, load_key, tac_key: for purchase, load and TAC.
        maintenance_key: for the line-protection MAC of APPLICATION BLOCK and its like.
        reload_pin_key: for RELOAD PIN.
    """

    name: str
    issuer_id: bytes
    purchase_key: bytes
    load_key: bytes
    tac_key: bytes
    maintenance_key: bytes
    reload_pin_key: bytes

    def card_keys(self, application_serial: bytes) -> CardKeys:
        """The keys of the card with this 10-byte application serial number."""
        factor = application_serial[2:]
        return CardKeys(
            purchase=diversify(self.purchase_key, factor),
            load=diversify(self.load_key, factor),
            tac=diversify(self.tac_key, factor),
            maintenance=diversify(self.maintenance_key, factor),
            reload_pin=diversify(self.reload_pin_key, factor),
        )


@dataclass(frozen=True, slots=True)
class CardKeys:
    """The keys in one card, 16 bytes each."""

    purchase: bytes
    load: bytes
    tac: bytes
    maintenance: bytes
    reload_pin: bytes


KNOWN = Issuer(
    name="known",
    issuer_id=bytes.fromhex("6217000000008531"),
    purchase_key=bytes.fromhex("31A0D64B8F1C5E729D03E8475BF6C210"),
    load_key=bytes.fromhex("52C7190EE36D84BA0F9B61D2782E4FA5"),
    tac_key=bytes.fromhex("7E15B89CD4602AF33B8E57C1069DF248"),
    maintenance_key=bytes.fromhex("94DB2F63A10E78C5E64D903B5A17CF82"),
    reload_pin_key=bytes.fromhex("B3680D9F4C72E15A287FD6C30B915E4D"),
)
"""The issuer the demo PSAMs serve."""

FOREIGN = Issuer(
    name="foreign",
    issuer_id=bytes.fromhex("6225990000004410"),
    purchase_key=bytes.fromhex("0D7E4FA19358C26BE1B7205C8A34F69D"),
    load_key=bytes.fromhex("2A91C5E70B6D48F3759E1CD4A820B36F"),
    tac_key=bytes.fromhex("4CB30F8D62A1E7951D5ACB7E93F40628"),
    maintenance_key=bytes.fromhex("68D5A24E91C03B7FF2863D1B057CE9A4"),
    reload_pin_key=bytes.fromhex("8AF7610C3E9D52B4C6180E7FA45B92D3"),
)
"""Another one, whose cards the demo PSAMs cannot serve."""

ISSUERS: dict[str, Issuer] = {issuer.name: issuer for issuer in (KNOWN, FOREIGN)}
