"""The frame of every page: ways through the back office, templates in two languages, what is said after an action."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from server_stub.backoffice import code_words, recon_words, search_words, sentences, words
from server_stub.backoffice.rights import Right
from server_stub.backoffice.words import N_
from server_stub.foundation import card_numbers
from server_stub.foundation.sentences import read

if TYPE_CHECKING:
    from server_stub.backoffice.visit import Visit


class Way(NamedTuple):
    """An entry of the menu.

    Attributes:
        id: what a template sets as ``active``.
        key: the letter that goes there after ``g``.
        icon: of the macro ``icon``.
    """

    id: str
    path: str
    title: str
    right: Right
    key: str
    icon: str


MENU: tuple[tuple[str, tuple[Way, ...]], ...] = (
    (
        N_("Today"),
        (
            Way("home", "/", N_("Overview"), Right.SEE, "h", "home"),
            Way("transactions", "/transactions", N_("Transactions"), Right.SEE, "x", "list"),
            Way("reports", "/reports", N_("Reports"), Right.SEE, "r", "chart"),
            Way("cases", "/cases", N_("Cases"), Right.SEE, "c", "flag"),
            Way("proposals", "/proposals", N_("Second person"), Right.SEE, "p", "people"),
        ),
    ),
    (
        N_("Reconciliation"),
        (
            Way("breaks", "/breaks", N_("Differences"), Right.SEE, "d", "unequal"),
            Way("reconciliation", "/reconciliation", N_("Comparisons"), Right.SEE, "e", "scales"),
            Way("days", "/days", N_("Days sent to UnionPay"), Right.SEE, "u", "upload"),
            Way("files", "/files", N_("Files"), Right.SEE, "f", "file"),
        ),
    ),
    (
        N_("Operation"),
        (
            Way("boxes", "/boxes", N_("Boxes and subscribers"), Right.SEE, "b", "box"),
            Way("psams", "/psams", N_("PSAM pool"), Right.SEE, "m", "chip"),
            Way("batches", "/batches", N_("Batch settlement"), Right.SEE, "t", "stack"),
            Way("jobs", "/jobs", N_("Jobs"), Right.SEE, "j", "clock"),
        ),
    ),
    (
        N_("Oversight"),
        (
            Way("audit", "/audit", N_("Audit logs"), Right.AUDIT, "a", "book"),
            Way("parameters", "/parameters", N_("Parameters"), Right.PARAMETERS, "o", "sliders"),
            Way("staff", "/staff", N_("Staff"), Right.STAFF, "s", "person"),
            Way("partners", "/partners", N_("Partners"), Right.PARTNERS, "n", "link"),
        ),
    ),
)
"""The menu: titles of sections, and what stands in each. ``g`` and a key goes there; each key once."""

DONE: dict[str, str] = {
    "signed-out": N_("You are signed out."),
    "signed-out-everywhere": N_("You are signed out everywhere."),
    "session-over": N_("Your session has ended. Please sign in again."),
    "typed": N_("What you had typed is filled in again. Nothing was done yet."),
    "password": N_("Your password is changed."),
    "decided": N_("The case is decided."),
    "proposed": N_("Proposed. A second person has to confirm it."),
    "confirmed": N_("Confirmed and done."),
    "proposal-refused": N_("The proposal is refused."),
    "withdrawn": N_("The proposal is withdrawn."),
    "psam-unlocked": N_("The PSAM is used again. If it is still locked, its next payment says so."),
    "box-suspend": N_("The box is suspended."),
    "box-activate": N_("The box is in service."),
    "box-stolen": N_("The box is reported stolen."),
    "box-revoke": N_("The box has no key and no activation code any more."),
    "batch-decided": N_("The batch is decided."),
    "settle-ordered": N_("The open batch is settled within a minute."),
    "job-ordered": N_("The job is run within a minute."),
    "break-decided": N_("The decision about the difference is carried out."),
    "day-again": N_("The day goes to UnionPay once more."),
    "taken-back": N_("The service is taken back. The money follows with the night's reconciliation."),
    "partner-changed": N_("The account is changed; it is signed out within seconds and signs in anew."),
    "partner-closed": N_("The account is closed; it is signed out within seconds."),
    "partner-opened": N_("The account is open again."),
    "staff-closed": N_("The account is closed; all its sessions have ended."),
    "staff-opened": N_("The account is open again."),
    "staff-roles": N_("The roles are changed."),
}
"""What is said at the top of a page after an action, by the word in its address; any other word says nothing."""


@cache
def environment(language: str) -> Environment:
    """The templates in a language."""
    made = Environment(
        loader=PackageLoader("server_stub.backoffice"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n", "jinja2.ext.do"],
    )
    made.install_gettext_translations(words.translations(language), newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(
        yuan=words.yuan,
        amount=words.amount,
        when=words.when,
        day=words.day,
        minute=words.minute,
        span=words.span,
        named=lambda text: words.named(text, language),
        t=lambda message, **values: words.said(language, message, **values),
        tr=lambda pair: (pair[0], words.said(language, pair[1])),
        result=lambda text: sentences.result(text, partial(words.said, language)),
        told=lambda kept: sentences.worded(language, read(kept)),
        whole=lambda kept: sentences.whole(language, read(kept)),
        query=lambda values: urlencode({name: one for name, one in values.items() if one}),
        facts=lambda text: _facts(language, text),
        fact=partial(_fact, language),
        actor=lambda name: code_words.actor(language, name),
        account=lambda name, services: code_words.account_name(partial(words.said, language), name, services),
        reason=partial(code_words.reason, language),
        labelled=labelled,
        json=json.loads,
        hidden=lambda text: card_numbers.hidden(text or ""),
    )
    for name in (
        *("PAYMENT_STATES", "CASE_STATES", "BOX_STATES", "BATCH_STATES", "PROPOSAL_STATES", "TASK_STATES"),
        *(
            "METHODS",
            "SUMMED_METHODS",
            "TERMS",
            "CASE_KINDS",
            "CASE_WAITS",
            "CASE_ACTIONS",
            "ROLES",
            "STAFF_ROLES",
        ),
    ):
        made.globals[name] = getattr(words, name)
    made.globals["AUDITED"], made.globals["JOBS"] = code_words.AUDITED, code_words.JOBS
    made.globals["KIND_NAMES"] = search_words.KIND_NAMES
    for name in recon_words.TABLES:
        made.globals[name] = getattr(recon_words, name)
    made.globals["N_"] = words.N_
    return made


def render(visit: Visit, template: str, facts: Mapping[str, Any]) -> str:
    """A template with what every page needs: ``visit``, ``menu``, ``said``, ``wrong`` (why a field cannot be taken, by its id) and
    the facts of this one."""
    menu = []
    if visit.session is not None and not visit.person.once:
        menu = [(title, [way for way in ways if visit.may(way.right)]) for title, ways in MENU]
    said = DONE.get(visit.query.text("done"), "")
    told = {"visit": visit, "menu": menu, "said": said, "now": visit.office.clock.now(), "wrong": {}, **facts}
    return environment(visit.language).get_template(template).render(told)


_TAG = re.compile(r"<(tr|td|th)\b([^>]*)>")
_SPAN = re.compile(r'\bcolspan="(\d+)"')


def labelled(rows: str, columns: Sequence[tuple[str, str]]) -> Markup:
    """Rows of a table whose cells know their column's title, which stands beside them where a row is shown as a card.

    >>> labelled('<tr><th scope="row">June</th><td>3</td></tr>', [("Month", ""), ("Days", "num")])
    Markup('<tr><th scope="row" data-label="Month">June</th><td data-label="Days">3</td></tr>')
    """
    at = 0

    def label(found: re.Match[str]) -> str:
        nonlocal at
        tag, rest = found.groups()
        if tag == "tr":
            at = 0
            return found[0]
        title, kind = columns[at] if at < len(columns) else ("", "")
        span = _SPAN.search(rest)
        at += int(span[1]) if span else 1
        told = "" if span else f' data-label="{escape(Markup(title).striptags())}"'
        return f"<{tag}{rest}{told}{' data-act' if kind == 'act' else ''}>"

    return Markup(_TAG.sub(label, rows))


def _fact(language: str, pair: tuple[str, Any], services: Mapping[str, str] | None = None) -> code_words.Fact:
    return code_words.fact(language, *pair, services)


def _facts(language: str, text: str) -> list[code_words.Fact]:
    """What a record's JSON says, in words."""
    told = json.loads(text)
    return [code_words.fact(language, name, one) for name, one in sorted(told.items()) if one is not None]
