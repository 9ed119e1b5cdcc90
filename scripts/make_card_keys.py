"""Makes the RSA test keys of the simulated debit and credit cards: cardreader/sim/emv/keys.toml.

Run it only to replace all of them: cards made before and CA key tables that name the CA are useless afterwards.
"""

import sys
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

FILE = Path(__file__).resolve().parent.parent / "cardreader" / "sim" / "emv" / "keys.toml"

# The shortest that EMV Book 2, B2.1 and today's libraries allow: a card answers in no time. Both exponents occur.
_KEYS = (
    ("ca-f0", 1152, 3),
    ("issuer", 1152, 65537),
    ("icc", 1024, 3),
    ("pin", 1024, 65537),
)
_HEAD = """\
# RSA TEST KEYS of the simulated cards, made by scripts/make_card_keys.py. Public on purpose: no real card is
# signed with them, and a terminal that takes real money must not hold ca-f0 in its table.
"""


def main() -> int:
    """Writes the file."""
    lines = [_HEAD]
    for name, bits, exponent in _KEYS:
        numbers = rsa.generate_private_key(exponent, bits).private_numbers()
        lines.append(
            f'[{name}]\nexponent = {exponent}\nprime1 = "{numbers.p:X}"\nprime2 = "{numbers.q:X}"\n',
        )
    FILE.write_text("\n".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
