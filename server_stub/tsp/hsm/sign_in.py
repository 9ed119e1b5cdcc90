"""A terminal's end of a sign-in: the working keys of bit 62, taken from under the TMK and compared with their check values.

What the centre's end makes is ``working_keys.under``; UnionPay's POS specification, bit 62 of 0810.
"""

from __future__ import annotations

from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.working_keys import BLOCK, WorkingKeys, check_value, des3_decrypt
from server_stub.tsp.hsm.errors import WorkingKeysRefused

_WITHOUT_TRACK_KEY, _WITH_TRACK_KEY = 40, 60
_CHECK_VALUE = 4


def taken(tmk: SecretBytes, bit_62: bytes) -> WorkingKeys:
    """The working keys in clear: PIK 16 and check value 4; MAK 8, zeros 8, check value 4; TDK 16 and check value 4 where
    there are 60 bytes and not 40.

    Raises:
        WorkingKeysRefused: not laid out like this, or a check value is not that of its key.
    """
    if len(bit_62) not in (_WITHOUT_TRACK_KEY, _WITH_TRACK_KEY):
        raise WorkingKeysRefused(
            f"bit 62: {_WITHOUT_TRACK_KEY} or {_WITH_TRACK_KEY} bytes expected, {len(bit_62)} are there"
        )
    pik, mak, tdk = bit_62[:20], bit_62[20:40], bit_62[40:]
    if any(mak[BLOCK : 2 * BLOCK]):
        raise WorkingKeysRefused("bit 62: zeros expected at byte 28, after the MAK")
    return WorkingKeys(
        pik=_key(tmk, pik[:-_CHECK_VALUE], pik[-_CHECK_VALUE:], "PIK"),
        mak=_key(tmk, mak[:BLOCK], mak[-_CHECK_VALUE:], "MAK"),
        tdk=_key(tmk, tdk[:-_CHECK_VALUE], tdk[-_CHECK_VALUE:], "TDK") if tdk else SecretBytes(b""),
    )


def _key(tmk: SecretBytes, enciphered: bytes, value: bytes, name: str) -> SecretBytes:
    key = des3_decrypt(tmk.reveal(), enciphered)
    if check_value(key) != value:
        raise WorkingKeysRefused(f"bit 62: the check value of the {name} is not that of the key")
    return SecretBytes(key)
