"""Secrets of the server: the types that do not print, and how they come in over the wire."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from pydantic import GetPydanticSchema
from pydantic_core import core_schema

from cardreader.secret import CardNumber, Pin, SecretBytes, SecretText

__all__ = ["ActivationCode", "CardNumber", "Pin", "SecretBytes", "SecretText", "Serial"]


def _hidden(make: Callable[[str], object], text: core_schema.StringSchema) -> Any:
    """Checked like this text, hidden from then on, and masked should anybody write it into an answer."""
    masked = core_schema.plain_serializer_function_ser_schema(str, return_schema=core_schema.str_schema())
    return GetPydanticSchema(
        lambda source, handler: core_schema.no_info_after_validator_function(make, text, serialization=masked)
    )


Serial = Annotated[
    CardNumber,
    _hidden(lambda text: CardNumber(bytes.fromhex(text)), core_schema.str_schema(pattern=r"^[0-9A-F]{20}$")),
]
"""A card's application serial in a request: 10 bytes in hex."""

ActivationCode = Annotated[
    SecretText, _hidden(SecretText, core_schema.str_schema(min_length=4, max_length=16))
]
"""What a subscriber was given to enrol a box with, in a request."""
