"""The keys between a terminal and its centre: a TMK in both, and the working keys that a sign-in brings under it.

UnionPay's POS specification, bit 62 of 0810 for double-length keys: PIK (16 bytes under the TMK, check value 4), MAK (8
bytes under the TMK, 8 zero bytes, check value 4) and, for network management code 004, TDK (like the PIK).
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from cardreader.pboc.crypto import des3_encrypt
from server_stub.foundation.ids import RandomBytes
from server_stub.foundation.secret import SecretBytes

DOUBLE, WITH_TRACK_KEY = "003", "004"
"""Network management codes of a sign-in."""
BLOCK = 8


@dataclass(frozen=True, slots=True)
class WorkingKeys:
    """What one sign-in has brought.

    Attributes:
        pik: for PIN blocks, 16 bytes.
        mak: for MACs, 8 bytes.
        tdk: for tracks, 16 bytes; empty without one.
    """

    pik: SecretBytes
    mak: SecretBytes
    tdk: SecretBytes

    @classmethod
    def fresh(cls, random: RandomBytes, code: str) -> WorkingKeys:
        """New ones for a sign-in with this code."""
        track = random(16) if code == WITH_TRACK_KEY else b""
        return cls(SecretBytes(random(16)), SecretBytes(random(8)), SecretBytes(track))

    def to_bytes(self) -> bytes:
        """All of them in clear, for a vault: 24 or 40 bytes."""
        return self.pik.reveal() + self.mak.reveal() + self.tdk.reveal()

    @classmethod
    def from_bytes(cls, clear: bytes) -> WorkingKeys:
        """What ``to_bytes`` has made."""
        return cls(SecretBytes(clear[:16]), SecretBytes(clear[16:24]), SecretBytes(clear[24:]))


def under(tmk: SecretBytes, keys: WorkingKeys) -> bytes:
    """Bit 62 of the answer to a sign-in: 40 bytes, 60 with a track key."""
    pik, mak, tdk = keys.pik.reveal(), keys.mak.reveal(), keys.tdk.reveal()
    master = tmk.reveal()
    made = des3_encrypt(master, pik) + check_value(pik)
    made += des3_encrypt(master, mak) + bytes(8) + check_value(mak)
    return made + des3_encrypt(master, tdk) + check_value(tdk) if tdk else made


def check_value(key: bytes) -> bytes:
    """The leftmost 4 bytes of zeros under a key of 8 or 16 bytes."""
    return des3_encrypt(key, bytes(BLOCK))[:4]


def master_key(shared: SecretBytes) -> SecretBytes:
    """The TMK of an installation, 16 bytes, from what both sides keep in a file of their own."""
    return SecretBytes(hmac.new(shared.reveal(), b"TMK", hashlib.sha256).digest()[:16])


def des3_decrypt(key: bytes, data: bytes) -> bytes:
    """Triple DES, ECB; ``key`` 16 bytes, ``data`` a multiple of 8. Raises ValueError for another length."""
    decryptor = Cipher(TripleDES(key + key[:BLOCK]), modes.ECB()).decryptor()
    return decryptor.update(data) + decryptor.finalize()


def conceal_track(tdk: SecretBytes, track: str) -> str:
    """Bit 35 under a TDK: the digits of the track (``D`` between PAN and expiry), filled up with F to whole blocks of 16.

    Returns:
        16, 32 or 48 hexadecimal digits.
    """
    filled = track + "F" * (-len(track) % (2 * BLOCK))
    return des3_encrypt(tdk.reveal(), bytes.fromhex(filled)).hex().upper()


def reveal_track(tdk: SecretBytes, concealed: str) -> str:
    """The digits again. Raises ValueError: no whole blocks."""
    return des3_decrypt(tdk.reveal(), bytes.fromhex(concealed)).hex().upper().rstrip("F")
