"""Operating parameters: every setting with its value, where it comes from, and what it means. They are only shown here."""

from __future__ import annotations

from typing import Any, NamedTuple

from starlette.responses import Response

from server_stub.backoffice import words
from server_stub.backoffice.rights import Right
from server_stub.backoffice.routes import Pages
from server_stub.backoffice.visit import Visit
from server_stub.backoffice.words import N_
from server_stub.settings import PREFIX, Settings

SECRET = frozenset({"database", "partner_key"})
"""Settings that may have a password in them: only whether they are set is shown."""
DAY = 86_400
pages = Pages()
MEANINGS = {
    "database": N_("Address of the PostgreSQL database; empty: SQLite files in the data folder."),
    "boss_url": N_("Where BOSS answers; empty: the role in this process."),
    "wallet_url": N_("Where the demo wallet's gateway answers; empty: the role in this process."),
    "notify_url": N_("Where wallets reach this platform; empty: this process."),
    "partner_key": N_("The secret between platform, BOSS and demo wallet; empty: made at the first start."),
    "psams": N_("The pool's PSAMs, separated by commas."),
    "lan_address": N_("This machine's address in the local network; empty: found out."),
    "ppp_port": N_("Where PPP listens for terminals; 0: any free port."),
    "ppp_address": N_("The PPP whose terminal this platform is; empty: the role in this process."),
    "boss_files": N_(
        "The folder shared with BOSS for files of each day; empty: the exchange in this process."
    ),
    "ppp_files": N_("The folder shared with PPP for files of each day; empty: the exchange in this process."),
    "tsp_files": N_(
        "The folder that BOSS and PPP share with the platform; empty: the exchange in this process."
    ),
    "boss_files_password": N_(
        "Password of the account for BOSS's folder; empty: derived from the partner key."
    ),
    "ppp_files_password": N_(
        "Password of the account for PPP's folder; empty: derived from the partner key."
    ),
    "tsp_files_password": N_("Password of the account of BOSS and PPP; empty: derived from the partner key."),
    "ftp_port": N_("Where the exchange of files listens for partners; 0: any free port."),
    "ftp_passive_ports": N_("Ports for its data connections, FIRST-LAST; empty: any free ones."),
    "ftp_failures_per_hour": N_("Wrong passwords there for one account from one address within an hour."),
    "cut_off": N_("When a business day ends."),
    "closed_days": N_("Days on which nothing is exchanged with PPP; it is caught up with afterwards."),
    "ppp_seconds": N_("How long PPP may take to answer."),
    "pos_terminal": N_("The platform's terminal number at PPP (bit 41)."),
    "pos_merchant": N_("Its merchant number there (bit 42)."),
    "tls_certificate": N_("File of the server's certificate; empty: one from an authority of our own."),
    "tls_key": N_("File of that certificate's private key."),
    "tls_authority": N_("File of the authorities that our roles believe; empty: the system's."),
    "hotline": N_("The operator's telephone number."),
    "quote_seconds": N_("How long a quoted order can be paid."),
    "qr_seconds": N_("How long a wallet's code can be paid."),
    "lease_seconds": N_("A PSAM's lease until the purchase begins."),
    "unknown_lease_seconds": N_("A PSAM's lease once the card may have been debited."),
    "partner_seconds": N_("How long BOSS or a wallet may take to answer."),
    "signature_seconds": N_("How far the time of a box's signature may be from the server's."),
    "standing_seconds": N_("How long BOSS's word on a box holds before it is asked again."),
    "key_overlap_seconds": N_("How long a box's old key is still good beside its new one."),
    "box_requests_per_minute": N_("What one box may ask in a minute."),
    "enrolment_failures_per_hour": N_("Wrong registrations of one box from one address in an hour."),
    "card_attempts_per_hour": N_("How often a card may come to paying in an hour without a right PIN."),
    "box_wrong_proofs": N_(
        "So many wrong proofs of one box may wait for a person before its cards pay no more."
    ),
    "unknown_pauses": N_(
        "After these times a waiting payment is looked at again; after the last it is a case."
    ),
    "case_second_fen": N_("From this amount on a decision needs a second person."),
    "staff_idle_seconds": N_("How long a session here lasts without use."),
    "staff_session_seconds": N_("How long a session here lasts at most."),
    "idempotency_days": N_("How long the answers to requests are kept."),
    "late_settle_seconds": N_("The demo wallet's late payment: so long after the code has run out."),
}
"""By setting."""


GROUPS = {
    N_("Paying"): ("quote_seconds", "qr_seconds", "lease_seconds", "unknown_lease_seconds", "unknown_pauses", "psams", "late_settle_seconds", "hotline"),
    N_("Decisions and staff"): ("case_second_fen", "staff_idle_seconds", "staff_session_seconds"),
    N_("Guards"): ("box_requests_per_minute", "enrolment_failures_per_hour", "card_attempts_per_hour", "box_wrong_proofs", "signature_seconds", "standing_seconds", "key_overlap_seconds", "idempotency_days"),
    N_("Business days and UnionPay"): ("cut_off", "closed_days", "ppp_address", "ppp_port", "ppp_seconds", "pos_terminal", "pos_merchant"),
    N_("Exchange of files"): ("boss_files", "ppp_files", "tsp_files", "boss_files_password", "ppp_files_password", "tsp_files_password", "ftp_port", "ftp_passive_ports", "ftp_failures_per_hour"),
    N_("Connections"): ("database", "boss_url", "wallet_url", "notify_url", "partner_key", "partner_seconds", "lan_address", "tls_certificate", "tls_key", "tls_authority"),
}  # fmt: skip
"""The settings under the headings of the page, each once."""


class Parameter(NamedTuple):
    """One setting.

    Attributes:
        name: of its variable.
        value: as text, with its unit where it has one; None for a secret.
        given: whether it is another one than the program's own.
        source: ``environment``, ``command`` (line), ``default``, or ``server``: another one has noted it.
        group: the heading under which it stands.
    """

    name: str
    value: str | None
    given: bool
    source: str
    meaning: str
    group: str


def parameters(
    settings: Settings,
    environment: frozenset[str],
    language: str = "en",
    noted: frozenset[str] = frozenset(),
) -> list[Parameter]:
    """All of them, in the order of the page."""
    usual = Settings()
    found = []
    for group, name in ((group, name) for group, names in GROUPS.items() for name in names):
        value, variable = getattr(settings, name), PREFIX + name.upper()
        given = value != getattr(usual, name) if name not in SECRET else bool(value)
        source = "environment" if variable in environment else "command" if given else "default"
        if name in noted:
            source = "server"
        shown = None if name in SECRET else _shown(name, value, language)
        found.append(Parameter(variable, shown, given, source, MEANINGS.get(name, ""), group))
    return found


def _shown(name: str, value: Any, language: str) -> str:
    """A value as people say it: money in yuan, and how long something lasts in words."""
    if name.endswith("_fen"):
        return words.yuan(value)
    if name.endswith("_seconds"):
        return words.lasting(value, language)
    if name.endswith("_days") and isinstance(value, int):
        return words.lasting(value * DAY, language)
    if name == "unknown_pauses":
        return " · ".join(words.lasting(int(one), language) for one in value.split(","))
    return str(value)


@pages.get("/parameters", Right.PARAMETERS)
async def listed(visit: Visit) -> Response:
    """All settings."""
    office, wanted = visit.office, visit.query.text("q").casefold()
    rows = [
        row
        for row in parameters(office.settings, office.set_by, visit.language, office.noted)
        if wanted in f"{row.name} {row.value} {visit.t(row.meaning)}".casefold()
    ]
    groups = [(group, [row for row in rows if row.group == group]) for group in GROUPS]
    shown = [(group, mine) for group, mine in groups if mine]
    return visit.page("parameters.html", groups=shown, q=visit.query.text("q"))
