"""The words of the television itself in the subscriber's language: gettext catalogues, English msgids."""

from __future__ import annotations

import gettext
import logging
from pathlib import Path

DOMAIN = "stb_pay"
LANGUAGES = ("zh", "en")
log = logging.getLogger(__name__)


class Catalogue:
    """Translations out of ``folder`` (``LANGUAGE/LC_MESSAGES/stb_pay.mo``), each read when it is first
    needed.

    A catalogue that is missing or broken is reported once and English shows instead: words in the wrong
    language are better than a dark television.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._loaded: dict[str, gettext.NullTranslations] = {}

    def text(self, msgid: str, language: str) -> str:
        """``msgid`` in ``language``; the msgid itself where there is no translation."""
        found = self._loaded.get(language)
        if found is None:
            found = self._loaded[language] = self._load(language)
        return found.gettext(msgid) if msgid else ""

    def _load(self, language: str) -> gettext.NullTranslations:
        if self._folder is None or language == "en":
            return gettext.NullTranslations()
        try:
            return gettext.translation(DOMAIN, self._folder, languages=[language])
        except (OSError, ValueError, UnicodeDecodeError):
            log.exception("no catalogue for %s", language)
            return gettext.NullTranslations()
