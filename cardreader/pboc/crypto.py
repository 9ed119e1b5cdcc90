"""Keys, MACs and TACs of the PBOC purse (JR/T 0025, electronic purse part).

DES and triple DES come from ``cryptography``; a double-length key is 16 bytes, EDE, left half first.
"""

from __future__ import annotations

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives.ciphers import Cipher, modes

from cardreader.pboc.vectors import Vector

BLOCK = 8
_ZERO = bytes(BLOCK)
_ECB = modes.ECB()


# -- the cipher


def des3_encrypt(key: bytes, data: bytes) -> bytes:
    """Triple DES, ECB. ``key`` 16 bytes (8: single DES), ``data`` a multiple of 8 bytes."""
    encryptor = Cipher(TripleDES(_triple(key)), _ECB).encryptor()
    return encryptor.update(data)


def _triple(key: bytes) -> bytes:
    """The three-key form of a single- or double-length key."""
    if len(key) == 16:
        return key + key[:BLOCK]
    if len(key) == BLOCK:
        return key * 3
    raise ValueError(f"a key has 8 or 16 bytes, not {len(key)}")


def _pad(data: bytes) -> bytes:
    """ISO 9797-1 padding method 2: 80, then zeros; always adds something."""
    return data + b"\x80" + bytes(BLOCK - 1 - len(data) % BLOCK)


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))


# -- keys


def diversify(master_key: bytes, factor: bytes) -> bytes:
    """Sub-key of a card (or bank, or city) from a master key.

    Args:
        master_key: 16 bytes.
        factor: 8 bytes: the last 8 of the application serial number, a bank id or a city id.

    Returns:
        16 bytes: 3DES(master, factor) || 3DES(master, NOT factor). The parity bits stay as they fall.
    """
    if len(factor) != BLOCK:
        raise ValueError(f"a diversification factor has 8 bytes, not {len(factor)}")
    return des3_encrypt(master_key, factor + bytes(byte ^ 0xFF for byte in factor))


def purchase_session_key(
    purchase_key: bytes, random: bytes, offline_number: int, terminal_transaction_number: bytes
) -> bytes:
    """SESPK, 8 bytes, of one purchase.

    Args:
        purchase_key: DPK, 16 bytes, the card's own.
        random: the 4 bytes that INITIALIZE FOR PURCHASE returned.
        offline_number: the card's offline transaction number, 0 to 65535.
        terminal_transaction_number: 4 bytes; the low two count.
    """
    block = random + offline_number.to_bytes(2) + terminal_transaction_number[2:4]
    return des3_encrypt(purchase_key, block)


def load_session_key(load_key: bytes, random: bytes, online_number: int) -> bytes:
    """SESLK, 8 bytes, of one load; DLK 16 bytes, random 4 bytes, the card's online transaction number."""
    return des3_encrypt(load_key, random + online_number.to_bytes(2) + b"\x80\x00")


def halves_xored(key: bytes) -> bytes:
    """Left XOR right half of a 16-byte key: the 8-byte key of TAC (DTK) and RELOAD PIN (DRPK)."""
    return _xor(key[:BLOCK], key[BLOCK:])


# -- MACs


def mac(key: bytes, data: bytes) -> bytes:
    """MAC of the purse commands: single-DES CBC, padded, IV zero, leftmost 4 bytes of the last block."""
    encryptor = Cipher(TripleDES(key * 3), modes.CBC(_ZERO)).encryptor()
    return encryptor.update(_pad(data))[-BLOCK : -BLOCK + 4]


def retail_mac(key: bytes, data: bytes) -> bytes:
    """ISO 9797-1 algorithm 3, padding 2, IV zero, 8 bytes: left half CBC, last block with the whole key."""
    return _retail_mac_padded(key, _pad(data))


def secure_messaging_mac(key: bytes, challenge: bytes, header: bytes, data: bytes = b"") -> bytes:
    """Line-protection MAC of a command of class 84 or 04, 4 bytes.

    Args:
        key: 16 bytes, the application's maintenance key.
        challenge: the 4 bytes of the last GET CHALLENGE; padded with zeros they are the IV.
        header: CLA INS P1 P2 Lc, where Lc counts the MAC too.
        data: the command's data without the MAC.
    """
    # An IV is the same as an XOR into the first block.
    message = _pad(header + data)
    first = _xor(message[:BLOCK], challenge + bytes(4))
    return _retail_mac_padded(key, first + message[BLOCK:])[:4]


def _retail_mac_padded(key: bytes, padded: bytes) -> bytes:
    if len(key) != 16:
        raise ValueError(f"the key has 16 bytes, not {len(key)}")
    chained = _ZERO
    if len(padded) > BLOCK:
        encryptor = Cipher(TripleDES(key[:BLOCK] * 3), modes.CBC(_ZERO)).encryptor()
        chained = encryptor.update(padded[:-BLOCK])[-BLOCK:]
    return des3_encrypt(key, _xor(chained, padded[-BLOCK:]))


# -- what the MACs of a transaction cover


def _amount(amount_fen: int) -> bytes:
    return amount_fen.to_bytes(4)


def purchase_mac1(
    session_key: bytes,
    amount_fen: int,
    transaction_type: int,
    terminal_number: bytes,
    date: bytes,
    time: bytes,
) -> bytes:
    """MAC1 of a purchase: the PSAM proves itself to the card. Terminal number 6, date 4, time 3 bytes."""
    return mac(session_key, _amount(amount_fen) + bytes((transaction_type,)) + terminal_number + date + time)


def purchase_mac2(session_key: bytes, amount_fen: int) -> bytes:
    """MAC2 of a purchase: the card proves to the PSAM that it has debited."""
    return mac(session_key, _amount(amount_fen))


def purchase_tac(
    tac_key: bytes,
    amount_fen: int,
    transaction_type: int,
    terminal_number: bytes,
    terminal_transaction_number: bytes,
    date: bytes,
    time: bytes,
) -> bytes:
    """TAC of a purchase, the issuer's proof. ``tac_key``: the card's DTK, or its halves XORed."""
    return mac(
        _tac_key(tac_key),
        _amount(amount_fen)
        + bytes((transaction_type,))
        + terminal_number
        + terminal_transaction_number
        + date
        + time,
    )


def load_mac1(
    session_key: bytes,
    balance_before_fen: int,
    amount_fen: int,
    transaction_type: int,
    terminal_number: bytes,
) -> bytes:
    """MAC1 of a load: the card proves itself to its issuer."""
    return mac(
        session_key,
        _amount(balance_before_fen) + _amount(amount_fen) + bytes((transaction_type,)) + terminal_number,
    )


def load_mac2(
    session_key: bytes,
    amount_fen: int,
    transaction_type: int,
    terminal_number: bytes,
    date: bytes,
    time: bytes,
) -> bytes:
    """MAC2 of a load: the issuer proves itself to the card. Date and time are the host's."""
    return mac(session_key, _amount(amount_fen) + bytes((transaction_type,)) + terminal_number + date + time)


def load_tac(
    tac_key: bytes,
    balance_after_fen: int,
    online_number: int,
    amount_fen: int,
    transaction_type: int,
    terminal_number: bytes,
    date: bytes,
    time: bytes,
) -> bytes:
    """TAC of a load; ``online_number`` is the one before it was raised. ``tac_key`` as in `purchase_tac`."""
    return mac(
        _tac_key(tac_key),
        _amount(balance_after_fen)
        + online_number.to_bytes(2)
        + _amount(amount_fen)
        + bytes((transaction_type,))
        + terminal_number
        + date
        + time,
    )


def _tac_key(key: bytes) -> bytes:
    return halves_xored(key) if len(key) == 16 else key


# -- vectors

_KEY = bytes.fromhex("11223344556677888877665544332211")
_TERMINAL = bytes.fromhex("001122334455")
_SESPK = bytes.fromhex("003238ABC57659DD")
_SESLK = bytes.fromhex("9B1D924E05595603")

VECTORS = (
    Vector(
        "V1 SESPK",
        purchase_session_key,
        {
            "purchase_key": _KEY,
            "random": bytes.fromhex("11223344"),
            "offline_number": 0,
            "terminal_transaction_number": bytes.fromhex("00000001"),
        },
        _SESPK,
    ),
    Vector(
        "V1 MAC1",
        purchase_mac1,
        {
            "session_key": _SESPK,
            "amount_fen": 0x1000,
            "transaction_type": 6,
            "terminal_number": _TERMINAL,
            "date": bytes.fromhex("20120229"),
            "time": bytes.fromhex("135100"),
        },
        bytes.fromhex("F15CAB75"),
    ),
    Vector(
        "V1 MAC2", purchase_mac2, {"session_key": _SESPK, "amount_fen": 0x1000}, bytes.fromhex("56988A13")
    ),
    Vector(
        "V2 SESLK",
        load_session_key,
        {"load_key": _KEY, "random": bytes.fromhex("11223344"), "online_number": 0},
        _SESLK,
    ),
    Vector(
        "V2 MAC1",
        load_mac1,
        {
            "session_key": _SESLK,
            "balance_before_fen": 0,
            "amount_fen": 0x1000,
            "transaction_type": 1,
            "terminal_number": _TERMINAL,
        },
        bytes.fromhex("2988AE5A"),
    ),
    Vector(
        "V2 MAC2",
        load_mac2,
        {
            "session_key": _SESLK,
            "amount_fen": 0x1000,
            "transaction_type": 1,
            "terminal_number": _TERMINAL,
            "date": bytes.fromhex("20111221"),
            "time": bytes.fromhex("214822"),
        },
        bytes.fromhex("3A845BF0"),
    ),
    Vector(
        "V3 TAC",
        load_tac,
        {
            "tac_key": bytes.fromhex("096F066DE0E6EB86"),
            "balance_after_fen": 0x1C37,
            "online_number": 0,
            "amount_fen": 0x1C37,
            "transaction_type": 2,
            "terminal_number": bytes.fromhex("000001000050"),
            "date": bytes.fromhex("20140825"),
            "time": bytes.fromhex("103100"),
        },
        bytes.fromhex("ED0F8755"),
    ),
)
