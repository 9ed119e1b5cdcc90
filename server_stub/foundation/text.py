"""Text for people, in both languages; and in cells of a spreadsheet."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL takes no text with U+0000."""
Line = Annotated[str, Field(pattern=NO_NUL)]
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠", "\t", "\r", "\n")


class Text(BaseModel):
    """One sentence or name, in Chinese and in English."""

    model_config = ConfigDict(frozen=True)

    zh: Line
    en: Line


def harmless(text: str) -> str:
    """A text as a cell that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless("1"), harmless(" @x")
    ("'=1+1", '1', "' @x")
    """
    return "'" + text if text.lstrip(" ").startswith(_FORMULA) else text
