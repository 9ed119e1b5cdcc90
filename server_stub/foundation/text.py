"""Text for people, in both languages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Text(BaseModel):
    """One sentence or name, in Chinese and in English."""

    model_config = ConfigDict(frozen=True)

    zh: str
    en: str
