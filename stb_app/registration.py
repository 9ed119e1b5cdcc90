"""The commands ``enrol``, ``rotate-key`` and ``doctor``: the box's registration, looked after without a picture."""

from __future__ import annotations

import gettext
import secrets
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stb_app import cli

if TYPE_CHECKING:
    from stb_app.journeys.steps import Refused
    from stb_app.journeys.verbs import Verbs
    from stb_app.tsp.client import TspClient


def N_(msgid: str) -> str:
    """Marks a message for the catalogue; it is translated when it is told."""
    return msgid


REFUSED = N_("{title}. {advice} ({code})")
"""What the platform says no with: the words of the code, what to do, and the code itself."""
NOT_REGISTERED = N_("Box {box} is not registered from {folder}. Register it: stb-app enrol.")


def translator(lang: str) -> Callable[[str], str]:
    """The words of a language; those of the program where there is no catalogue."""
    if lang == "en":
        return str
    from assets import path

    return gettext.translation("stb_pay", str(path("locale")), ["zh"], fallback=True).gettext


def refusal(code: str, facts: Mapping[str, Any], say: Callable[[str], str]) -> dict[str, str]:
    """What stands in the braces of REFUSED."""
    from screens.problems import words_for

    said = words_for(code, facts, say)
    return {"title": said.title, "advice": said.text, "code": code}


def command(options: cli.BoxOptions) -> int:
    """One of the commands. Returns its exit code: 0, or 1 with what is wrong on standard error."""
    from stb_app.main import CannotStart, data_folder, only_one

    try:
        if options.command == "doctor":
            from stb_app.doctor import examine

            return examine(options, data_folder(options.data))
        with ExitStack() as held:
            data = data_folder(options.data)
            held.enter_context(only_one(data))
            return enrol(options, data) if options.command == "enrol" else rotate_key(options, data)
    except CannotStart as reason:
        cli.complain(str(reason))
        return 1


def enrol(options: cli.BoxOptions, data: Path) -> int:
    """Registers the box with a new key; the key before it has ended then."""
    from stb_app.kit.clock import SystemClock
    from stb_app.shell.box import BoxFiles, Papers
    from stb_app.shell.connection import enrol

    verbs = _verbs(options)
    papers = Papers(options.box, options.smart_card, options.activation_code)
    refused = enrol(verbs, BoxFiles(data), papers, SystemClock().now())
    if refused is None:
        assert verbs.client.identity is not None
        done = N_("Box {box} is registered with the key {key}.")
        _tell(options, done, box=options.box, key=verbs.client.identity.key_id)
    return _told(options, refused)


def rotate_key(options: cli.BoxOptions, data: Path) -> int:
    """Changes the box's key for a new one."""
    from stb_app.kit.clock import SystemClock
    from stb_app.shell.box import BoxFiles
    from stb_app.shell.connection import rotate

    files = BoxFiles(data)
    enrolment = files.enrolment(options.box)
    identity = None if enrolment is None else files.identity(enrolment)
    if enrolment is None or identity is None:
        cli.complain(translator(options.lang)(NOT_REGISTERED).format(box=options.box, folder=data))
        return 1
    verbs = _verbs(options)
    verbs.client.identity = identity
    refused = rotate(verbs, files, enrolment, SystemClock().now())
    if refused is None:
        done = N_("Box {box} has gone over to the key {key}.")
        _tell(options, done, box=options.box, key=verbs.client.identity.key_id)
    return _told(options, refused)


def client_of(options: cli.BoxOptions) -> TspClient:
    """A client for the platform that was named."""
    from stb_app.tsp.client import TspClient

    return TspClient(options.tsp, authority=options.authority)


def _verbs(options: cli.BoxOptions) -> Verbs:
    from cardreader.readers import open_reader
    from stb_app.journeys.memory import Memory
    from stb_app.journeys.verbs import Verbs
    from stb_app.journeys.waiting import RealWaits
    from stb_app.kit.clock import SystemClock

    # No card is touched: the reader is only what verbs are made with.
    reader = open_reader("sim:")
    return Verbs(
        client_of(options),
        reader,
        Memory(None),
        RealWaits(SystemClock()),
        SystemClock().now,
        secrets.token_urlsafe,
    )


def _tell(options: cli.BoxOptions, text: str, **facts: str) -> None:
    cli.tell(translator(options.lang)(text).format(**facts))


def _told(options: cli.BoxOptions, refused: Refused | None) -> int:
    if refused is None:
        return 0
    say = translator(options.lang)
    cli.complain(say(REFUSED).format(**refusal(refused.code, refused.facts, say)))
    return 1
