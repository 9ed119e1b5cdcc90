"""Values that do not print: a secret is a type of its own, so that no log, message, answer or file can have it by accident.

``str``, ``repr``, formatting, JSON, pickling and copying into a dataclass's dictionary give a mask or fail; only
``reveal()`` gives the value, and is easy to look for.

Secret
├── SecretText     a key or code as text
│   ├── Pin        2 to 12 digits
│   └── Pan        a bank card's number; prints masked
├── SecretBytes    a key as bytes
└── CardNumber     a card's number (its application serial); prints masked
"""

from __future__ import annotations

import hmac
from typing import Any, Generic, NoReturn, TypeVar

T = TypeVar("T", str, bytes)
MASK = "***"


class Secret(Generic[T]):
    """A value that does not print. Compared in constant time; made and revealed on purpose only."""

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value: T = value

    def reveal(self) -> T:
        """The value, for where it is used; never for where it is shown."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}({MASK})"

    def __str__(self) -> str:
        return MASK

    def __format__(self, spec: str) -> str:
        return str(self)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret) or type(self._value) is not type(other._value):
            return NotImplemented
        return hmac.compare_digest(_raw(self._value), _raw(other._value))

    def __hash__(self) -> int:
        return hash((type(self), self._value))

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError(f"a {type(self).__name__} is not pickled or copied")

    def __copy__(self) -> Secret[T]:
        return self

    def __deepcopy__(self, memo: object) -> Secret[T]:
        return self


class SecretText(Secret[str]):
    """A key or code as text."""

    __slots__ = ()


class Pan(SecretText):
    """A bank card's primary account number (ISO/IEC 7812-1). What prints is what people may see of it.

    Raises:
        ValueError: not 13 to 19 decimal digits. The message does not repeat them.

    >>> Pan("6210220110002707355")
    Pan(6210 22** **** *** 7355)
    """

    __slots__ = ()

    def __init__(self, digits: str) -> None:
        if not (digits.isascii() and digits.isdigit() and 13 <= len(digits) <= 19):
            raise ValueError("a PAN has 13 to 19 decimal digits")
        super().__init__(digits)

    @property
    def masked(self) -> str:
        """First six and last four digits."""
        return mask_number(self._value)

    def __repr__(self) -> str:
        return f"Pan({self.masked})"

    def __str__(self) -> str:
        return self.masked


class SecretBytes(Secret[bytes]):
    """A key as bytes."""

    __slots__ = ()


class Pin(SecretText):
    """A card's PIN.

    Raises:
        ValueError: not 2 to 12 decimal digits. The message does not repeat them.
    """

    __slots__ = ()

    def __init__(self, digits: str) -> None:
        if not (digits.isascii() and digits.isdigit() and 2 <= len(digits) <= 12):
            raise ValueError("a PIN has 2 to 12 decimal digits")
        super().__init__(digits)


class CardNumber(Secret[bytes]):
    """A card's number as EF 0015 has it, packed digits. What prints is what people may see of it."""

    __slots__ = ()

    @property
    def masked(self) -> str:
        """First six and last four digits.

        >>> CardNumber(bytes.fromhex("62170018340572162047")).masked
        '6217 00** **** **** 2047'
        """
        return mask_number(self._value)

    def __repr__(self) -> str:
        return f"CardNumber({self.masked})"

    def __str__(self) -> str:
        return self.masked


def mask_number(serial: bytes | str) -> str:
    """A card's number as people may see it: first six and last four digits, in groups of four of which the last is whole.

    What is masked already is only grouped anew.

    >>> mask_number(bytes.fromhex("62170018340572162047"))
    '6217 00** **** **** 2047'
    >>> mask_number("6217001834057216101"), mask_number("621700*********6101")
    ('6217 00** **** *** 6101', '6217 00** **** *** 6101')
    """
    digits = serial if isinstance(serial, str) else serial.hex()
    digits = digits.upper()
    shown = digits[:6] if len(digits) > 10 else ""
    hidden = shown + "*" * (len(digits) - len(shown) - 4)
    # Cards of 19 digits: people compare the last four, which must not be split.
    return " ".join((*(hidden[i : i + 4] for i in range(0, len(hidden), 4)), digits[-4:]))


def _raw(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value
