"""``stb-app doctor``: what is wrong with the connection, one plain line for each thing that must be right."""

from __future__ import annotations

import logging
import math
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from cardreader.errors import ServiceUnavailable
from stb_app import cli
from stb_app.registration import NOT_REGISTERED, REFUSED, client_of, refusal, translator
from stb_app.tsp.model import Hello
from stb_app.tsp.problem import Problem

API = 1
CONNECT_S = 3.0
CLOCK_S = 60
"""So far the box's clock may be out before its signatures are refused."""
GATEWAY = (502, 503, 504)
"""What a proxy answers that cannot reach the platform (RFC 9110, 15.6)."""
REDIRECTS = (301, 302, 303, 307, 308)
Verdict = Literal["ok", "wrong", "unknown"]


def N_(msgid: str) -> str:
    """Marks a message of a table for the catalogue; it is translated when it is told."""
    return msgid


VERDICTS: dict[Verdict, str] = {"ok": N_("ok"), "wrong": N_("wrong"), "unknown": N_("not checked")}
CHECKS = {
    "address": N_("Address"),
    "certificate": N_("Certificate"),
    "version": N_("Version"),
    "clock": N_("Clock"),
    "enrolment": N_("Registration"),
    "reader": N_("Card reader"),
}
SPANS: tuple[tuple[str, int, float], ...] = (
    (N_("{count} seconds"), 1, 90),
    (N_("{count} minutes"), 60, 90),
    (N_("{count} hours"), 3600, 36),
    (N_("{count} days"), 86_400, math.inf),
)
"""Each with its seconds, and up to how many of it are told in it."""
LINE = N_("{check}: {verdict}. {text}")


@dataclass(frozen=True, slots=True)
class Finding:
    """What one check has found.

    Attributes:
        text: what is so, and where it is wrong, what to do.
        facts: what stands in the text's braces.
    """

    check: str
    verdict: Verdict
    text: str
    facts: dict[str, str]


def found(check: str, verdict: Verdict, text: str, **facts: object) -> Finding:
    return Finding(check, verdict, text, {name: str(value) for name, value in facts.items()})


@dataclass
class Doctor:
    """Looks at one thing after another; what cannot be right because of something before is not looked at.

    Args:
        now: the present instant by the box's clock.
        open_reader: of the box's card slot; raises when there is none.
    """

    options: cli.BoxOptions
    data: Path
    now: Callable[[], datetime]
    open_reader: Callable[[str], Any]

    def findings(self) -> Iterator[Finding]:
        """One for each check, in order."""
        address = self.address()
        yield address
        if address.verdict == "ok":
            certificate = self.certificate()
            yield certificate
            if certificate.verdict == "ok":
                yield from self.beyond()
            else:
                yield from self.unchecked("version", "clock", "enrolment")
        else:
            yield from self.unchecked("certificate", "version", "clock", "enrolment")
        yield self.reader()

    def unchecked(self, *checks: str) -> Iterator[Finding]:
        for check in checks:
            yield found(check, "unknown", N_("Put right what is wrong above first."))

    def address(self) -> Finding:
        url = self.options.tsp or ""
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        except ValueError:
            host = None
        if not url:
            return found("address", "wrong", N_("No address was given. Say --tsp https://NAME:PORT."))
        if not host or parts.scheme not in ("http", "https"):
            return found(
                "address", "wrong", N_("{url} is no address. It looks like https://NAME:PORT."), url=url
            )
        try:
            with socket.create_connection((host, port), CONNECT_S):
                return found("address", "ok", N_("{host} answers at port {port}."), host=host, port=port)
        except socket.gaierror:
            return found(
                "address", "wrong",
                N_("The name {host} is not known. Check how it is written, and the network's name server."), host=host,
            )  # fmt: skip
        except TimeoutError:
            return found(
                "address", "wrong",
                N_("{host} does not answer at port {port}. Check the network cable, the router and the firewall."),
                host=host, port=port,
            )  # fmt: skip
        except OSError:
            return found(
                "address", "wrong",
                N_("Nobody takes calls at {host}, port {port}. Check the port, and that the platform is running."),
                host=host, port=port,
            )  # fmt: skip

    def certificate(self) -> Finding:
        from stb_app.tsp.tls import code_of

        parts = urlsplit(self.options.tsp or "")
        assert parts.hostname is not None
        if parts.scheme == "http":
            if _speaks_tls(parts.hostname, parts.port or 80):
                return found(
                    "certificate", "wrong",
                    N_("The platform there wants an encrypted connection. The address must begin with https://."),
                )  # fmt: skip
            return found(
                "certificate", "ok",
                N_("None: the connection is not encrypted. Use https outside of a test network."),
            )  # fmt: skip
        authority = self.options.authority
        try:
            context = ssl.create_default_context(cafile=None if authority is None else str(authority))
        except (OSError, ssl.SSLError):
            return found(
                "certificate",
                "wrong",
                N_("{file} is no certificate. Get the right file with --ca."),
                file=authority,
            )
        try:
            with (
                socket.create_connection((parts.hostname, parts.port or 443), CONNECT_S) as plain,
                context.wrap_socket(plain, server_hostname=parts.hostname) as secured,
            ):
                until = dict(secured.getpeercert() or {}).get("notAfter", "")
        except TimeoutError:
            return found("certificate", "wrong", SILENT)
        except OSError as error:
            text = CERTIFICATE_WORDS.get(code_of(error) or "", CERTIFICATE_WORDS["tls-failed"])
            return found("certificate", "wrong", text, host=parts.hostname)
        ends = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(until)), self.now().tzinfo)
        return found(
            "certificate", "ok", N_("Right for {host}, until {day}."), host=parts.hostname, day=ends.date()
        )

    def beyond(self) -> Iterator[Finding]:
        """Version, clock and registration: what the platform itself says."""
        client = client_of(self.options)
        try:
            before = self.now()
            hello = client.hello()
            after = self.now()
        except Problem as problem:
            yield found("version", "wrong", self.no_hello(problem))
            yield from self.unchecked("clock", "enrolment")
            return
        yield self.version(hello)
        yield self.clock(hello, before, after)
        yield self.enrolment(client)

    def no_hello(self, problem: Problem) -> str:
        """Why nobody says hello where somebody takes calls."""
        from stb_app.tsp.session import took_too_long

        status = problem.facts.get("status", 0)
        if status in GATEWAY:
            return N_(
                "A gateway on the way answers, and cannot reach the platform. Check that the platform is running behind it."
            )
        if status in REDIRECTS:
            return N_("What answers there sends to another address. Give that one with --tsp.")
        if took_too_long(problem.__cause__):
            return SILENT
        return N_("What answers there is no payment platform. Check the address and the port.")

    def clock(self, hello: Hello, before: datetime, after: datetime) -> Finding:
        ours = before + (after - before) / 2
        right = hello.time.astimezone(ours.tzinfo)
        seconds = (ours - right).total_seconds()
        span = self.span(abs(seconds))
        if abs(seconds) > CLOCK_S:
            text = (
                N_("This box is {span} ahead: it says {ours}, right is {right}. Set its clock.")
                if seconds > 0
                else N_("This box is {span} behind: it says {ours}, right is {right}. Set its clock.")
            )
            shown = "%H:%M:%S" if ours.date() == right.date() else "%Y-%m-%d %H:%M:%S"
            return found("clock", "wrong", text, span=span, ours=f"{ours:{shown}}", right=f"{right:{shown}}")
        if abs(seconds) < 2:
            return found("clock", "ok", N_("Right."))
        return found("clock", "ok", N_("{span} out, which does no harm."), span=span)

    def span(self, seconds: float) -> str:
        """So long, in the unit that people would use; two of it at least, from two seconds on."""
        text, unit_s = next((text, unit_s) for text, unit_s, most in SPANS if seconds <= most * unit_s)
        return self.say(text).format(count=round(seconds / unit_s))

    def version(self, hello: Hello) -> Finding:
        if hello.api != API:
            return found(
                "version", "wrong",
                N_("The platform speaks version {theirs} of the interface, this box version {ours}. One needs an update."),
                theirs=hello.api, ours=API,
            )  # fmt: skip
        return found("version", "ok", N_("{name} {version}."), name=hello.name, version=hello.version)

    def enrolment(self, client: Any) -> Finding:
        from stb_app.shell.box import BoxFiles

        files = BoxFiles(self.data)
        box = self.options.box or files.box_number() or cli.DEFAULT_BOX
        with _alone(self.data) as alone:
            if not alone:
                # Its key's numbers are in use: two users of them would look like two boxes.
                return found(
                    "enrolment", "unknown", N_("The television is running on {folder}. Switch it off, then ask again."),
                    folder=self.data,
                )  # fmt: skip
            enrolment = files.enrolment(box)
            client.identity = None if enrolment is None else files.identity(enrolment)
            if client.identity is None:
                return found("enrolment", "wrong", NOT_REGISTERED, box=box, folder=self.data)
            try:
                client.refresh_server_keys()
            except Problem as problem:
                if problem.code == "tsp-not-trusted":
                    return found(
                        "enrolment", "wrong",
                        N_("Another platform answers than the one where this box is registered. Check the address, or"
                           " register the box there: stb-app enrol."),
                    )  # fmt: skip
                return found("enrolment", "wrong", REFUSED, **refusal(problem.code, problem.facts, self.say))
        return found(
            "enrolment",
            "ok",
            N_("Box {box} is registered, and in service as of at most 15 seconds ago."),
            box=box,
        )

    def reader(self) -> Finding:
        try:
            present = self.open_reader(self.options.reader).card_present()
        except ServiceUnavailable:
            return found(
                "reader",
                "wrong",
                N_(
                    "The smart-card service (pcscd) does not run; 'systemctl start pcscd' starts it on most boxes."
                ),
            )
        except Exception:
            logging.getLogger(__name__).info("no reader", exc_info=True)
            return found(
                "reader",
                "wrong",
                N_("None found. Check its cable."),
            )
        if present:
            return found("reader", "ok", N_("Found; a card is in it."))
        return found("reader", "ok", N_("Found; no card is in it."))

    def say(self, msgid: str) -> str:
        return translator(self.options.lang)(msgid)


SILENT = N_("It takes the call and says nothing. Check the port; perhaps the platform hangs: start it anew.")
CERTIFICATE_WORDS = {
    "tls-authority-unknown": N_(
        "Nobody this box trusts has signed it. Give the platform's authority with --ca FILE, or check the address."
    ),
    "tls-expired": N_("It has run out. The platform needs a new one; also check this box's clock."),
    "tls-not-yet-valid": N_("It is not valid yet. Check this box's clock."),
    "tls-wrong-name": N_("It is not for {host}. Use the name that the certificate is for."),
    "tls-failed": N_("No encrypted connection can be made. Perhaps the address should begin with http://."),
}


def _speaks_tls(host: str, port: int) -> bool:
    """Whether there is an encrypted connection to be had, whoever answers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), CONNECT_S) as plain:
            context.wrap_socket(plain).close()
    except OSError:
        return False
    return True


@contextmanager
def _alone(data: Path) -> Iterator[bool]:
    from stb_app.main import CannotStart, only_one

    with ExitStack() as held:
        try:
            held.enter_context(only_one(data))
        except CannotStart:
            yield False
            return
        yield True


def lines(findings: Iterator[Finding], say: Callable[[str], str]) -> Iterator[tuple[Finding, str]]:
    """Each finding as a line for people."""
    for one in findings:
        text = say(one.text).format(**one.facts)
        yield (
            one,
            say(LINE).format(check=say(CHECKS[one.check]), verdict=say(VERDICTS[one.verdict]), text=text),
        )


def examine(options: cli.BoxOptions, data: Path) -> int:
    """Tells everything. Returns the exit code: 0 when nothing is wrong, else 1."""
    from cardreader.readers import open_reader
    from stb_app.kit.clock import SystemClock

    doctor = Doctor(options, data, SystemClock().now, open_reader)
    wrong = False
    for finding, line in lines(doctor.findings(), translator(options.lang)):
        cli.tell(line)
        wrong = wrong or finding.verdict == "wrong"
    return 1 if wrong else 0
