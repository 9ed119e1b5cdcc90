"""Issuer Application Data of UnionPay cards, tag 9F10: read and written (JR/T 0025; cards.md, D5)."""

from __future__ import annotations

from dataclasses import dataclass

from cardreader.emv.bits import Cvr
from cardreader.errors import ProtocolError

ALGORITHM_3DES = 0x01
ALGORITHM_SM4 = 0x04
_HEAD = 7
_CVR_LENGTH = 3
_WITH_BALANCE = 0x01
_BALANCE_SIZE, _MAC_SIZE = 5, 4
_MAX = 32


@dataclass(frozen=True, slots=True)
class IssuerApplicationData:
    """What the card says to its issuer beside the cryptogram.

    Attributes:
        key_index: derivation key index, of the issuer's master key.
        version: of the cryptogram; 1 is the one of `cardreader.emv.cryptogram`.
        cvr: card verification results.
        algorithm: `ALGORITHM_3DES` or `ALGORITHM_SM4`.
        discretionary: issuer discretionary data without its length byte; empty when there is none.
    """

    key_index: int
    version: int
    cvr: Cvr
    algorithm: int = ALGORITHM_3DES
    discretionary: bytes = b""

    @property
    def cvr_bytes(self) -> bytes:
        """The CVR as the cryptogram covers it: 03 and three bytes."""
        return bytes((_CVR_LENGTH,)) + int(self.cvr).to_bytes(_CVR_LENGTH)

    @property
    def balance_fen(self) -> int | None:
        """Electronic cash balance that the discretionary data (identifier 01) tells, or None."""
        data = self.discretionary
        if len(data) != 1 + _BALANCE_SIZE + _MAC_SIZE or data[0] != _WITH_BALANCE:
            return None
        digits = data[1 : 1 + _BALANCE_SIZE].hex()
        return int(digits) if digits.isdigit() else None

    def encode(self) -> bytes:
        """The value of 9F10. Raises ValueError when it would be longer than 32 bytes.

        >>> IssuerApplicationData(1, 1, Cvr(0xA02000)).encode().hex()
        '07010103a0200001'
        """
        value = bytes((_HEAD, self.key_index, self.version)) + self.cvr_bytes + bytes((self.algorithm,))
        if self.discretionary:
            value += bytes((len(self.discretionary),)) + self.discretionary
        if len(value) > _MAX:
            raise ValueError(f"9F10 has at most {_MAX} bytes, not {len(value)}")
        return value

    @classmethod
    def decode(cls, value: bytes) -> IssuerApplicationData:
        """Reads the value of 9F10.

        Raises:
            ProtocolError: it is laid out otherwise; says at which byte.

        >>> IssuerApplicationData.decode(bytes.fromhex("07010103A02000010A01000000000000C2040E")).balance_fen
        0
        """
        if len(value) < 1 + _HEAD:
            raise ProtocolError(f"9F10: cut off at byte {len(value)}, {1 + _HEAD} are the least")
        if len(value) > _MAX:
            raise ProtocolError(f"9F10: {len(value) - _MAX} bytes too many at byte {_MAX}")
        if value[0] != _HEAD:
            raise ProtocolError(f"9F10: length {value[0]:02X} at byte 0, UnionPay's is 07")
        if value[3] != _CVR_LENGTH:
            raise ProtocolError(f"9F10: length of the CVR {value[3]:02X} at byte 3, UnionPay's is 03")
        discretionary = b""
        if len(value) > 1 + _HEAD:
            size, discretionary = value[1 + _HEAD], value[2 + _HEAD :]
            if not size or size != len(discretionary):
                raise ProtocolError(
                    f"9F10: {size} bytes of discretionary data at byte {1 + _HEAD}, {len(discretionary)} are there"
                )
        return cls(value[1], value[2], Cvr(int.from_bytes(value[4:7])), value[7], discretionary)
