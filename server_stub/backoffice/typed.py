"""What was typed into a form whose session had ended: the browser keeps it until the form is shown again, where it is filled in.

Signing in carries nothing out: the form is sent anew, with the token of the new session.
"""

from __future__ import annotations

import binascii
import json
import re
import zlib
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable
from html import escape
from html.parser import HTMLParser
from typing import NamedTuple

from server_stub.foundation.card_numbers import hidden

COOKIE = "backoffice_typed"
SECONDS = 900
LONGEST_COOKIE, LONGEST = 3_500, 20_000
"""Characters; a browser keeps no longer cookie."""
NEVER = frozenset(
    {"csrf", "confirmed", "back", "seen", "to", "format", "password", "present", "new", "again"}
)
"""Fields that are not kept: secrets, what belongs to a session, and what was confirmed."""
_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)


class Typed(NamedTuple):
    """A form that was sent too late.

    Attributes:
        page: path and query of the page on which it stands.
        action: path that it was sent to.
        fields: names and values, without those of NEVER.
    """

    page: str
    action: str
    fields: tuple[tuple[str, str], ...]


def typed(page: str, action: str, fields: Iterable[tuple[str, str]]) -> Typed:
    """A form, without what is never kept, nor a whole card number."""
    kept = ((name, hidden(text)) for name, text in fields if name not in NEVER and text)
    return Typed(page, action, tuple(kept))


def written(form: Typed) -> str:
    """As a cookie; "" for one that is too long."""
    text = urlsafe_b64encode(zlib.compress(json.dumps(form, ensure_ascii=False).encode())).decode("ascii")
    return text if len(text) <= LONGEST_COOKIE else ""


def read(text: str) -> Typed | None:
    """What a cookie has kept; None for what ``written`` has not written."""
    try:
        plain = zlib.decompressobj().decompress(urlsafe_b64decode(text), LONGEST)
        page, action, fields = json.loads(plain)
        return Typed(str(page), str(action), tuple((str(name), str(value)) for name, value in fields))
    except (binascii.Error, zlib.error, ValueError, TypeError):
        return None


def filled(page: str, form: Typed) -> str:
    """A page with the form filled in as it was typed; unchanged where it has no such form any more."""
    for found in _FORM.finditer(page):
        filler = _Filler(form)
        filler.feed(found[0])
        filler.close()
        if filler.same:
            before = page[: found.start()]
            folded = before.rfind("<details")
            if (
                folded > before.rfind("</details>")
                and " open" not in before[folded : before.find(">", folded)]
            ):
                before = f"{before[:folded]}<details open{before[folded + len('<details') :]}"
            return f"{before}{''.join(filler.out)}{page[found.end() :]}"
    return page


class _Filler(HTMLParser):
    """Writes a form again as it was, but for the values of its fields.

    Attributes:
        same: whether it is that form: it goes to the same place, and about the same thing.
        out: its parts.
    """

    def __init__(self, form: Typed) -> None:
        super().__init__(convert_charrefs=False)
        self.same = True
        self.out: list[str] = []
        self._form = form
        self._values: dict[str, list[str]] = {}
        for name, text in form.fields:
            self._values.setdefault(name, []).append(text)
        self._select: str | None = None
        self._silent = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        told = dict(attrs)
        name = (self._select if tag == "option" else told.get("name")) or ""
        values, kind = self._values.get(name), told.get("type") or "text"
        if tag == "form":
            self.same = told.get("action") == self._form.action and told.get("method") == "post"
        elif tag == "select":
            self._select = name
        elif tag == "input" and kind == "hidden" and name not in NEVER:
            self.same &= (told.get("value") or "") in (values or [""])
        if tag == "option" and values is not None:
            self._write(tag, _set(attrs, "selected", None, told.get("value") in values))
        elif tag == "input" and kind in ("radio", "checkbox") and name not in NEVER:
            self._write(tag, _set(attrs, "checked", None, told.get("value") in (values or ())))
        elif tag == "input" and values is not None and kind not in ("hidden", "password"):
            self._write(tag, _set(attrs, "value", values[0], True))
        else:
            self.out.append(self.get_starttag_text() or "")
        if tag == "textarea" and values is not None:
            self.out.append(escape(values[0]))
            self._silent = True

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.out.append(self.get_starttag_text() or "")

    def handle_endtag(self, tag: str) -> None:
        self._silent = False
        self.out.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self.out.append(data)

    def handle_entityref(self, name: str) -> None:
        self.handle_data(f"&{name};")

    def handle_charref(self, name: str) -> None:
        self.handle_data(f"&#{name};")

    def _write(self, tag: str, attrs: Iterable[tuple[str, str | None]]) -> None:
        told = (f" {name}" if text is None else f' {name}="{escape(text)}"' for name, text in attrs)
        self.out.append(f"<{tag}{''.join(told)}>")


def _set(
    attrs: Iterable[tuple[str, str | None]], name: str, text: str | None, there: bool
) -> list[tuple[str, str | None]]:
    """Attributes, with one of them so, or without it."""
    return [one for one in attrs if one[0] != name] + ([(name, text)] if there else [])
