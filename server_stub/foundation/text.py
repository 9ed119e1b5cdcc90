"""Text for people, in both languages."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

NO_NUL = r"^[^\x00]*$"
"""PostgreSQL takes no text with U+0000."""
Line = Annotated[str, Field(pattern=NO_NUL)]


class Text(BaseModel):
    """One sentence or name, in Chinese and in English."""

    model_config = ConfigDict(frozen=True)

    zh: Line
    en: Line
