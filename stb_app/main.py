"""Switches the television on: puts its parts together in the order that shows a picture soonest, and off again."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from cardreader.output import until_nobody_reads
from stb_app import cli

if TYPE_CHECKING:
    from cardreader.reader import Reader
    from stb_app.journeys.memory import OpenLoad, OpenPayment
    from stb_app.journeys.recovery import RecoveryStep
    from stb_app.kit.chrome import Tone
    from stb_app.kit.clock import SystemClock
    from stb_app.shell.app import App
    from stb_app.shell.loop import Loop
    from stb_app.shell.window import OffScreen, Window
    from stb_app.tsp.model import Payment

log = logging.getLogger("stb_app.main")
STOP_WITHIN_S = 3.0
WARM_EVERY_S = 0.05
TOLD_S = 60.0
"""So long it is told how an earlier payment ended: the television may have been switched on before anybody looks."""
BROKEN, USAGE = 1, 2
ROOM_BYTES = 64 * 1024


class CannotStart(Exception):
    """The television cannot be switched on; the message says why and what to do.

    Attributes:
        code: the exit code: USAGE where starting it otherwise helps, BROKEN where the installation is at fault.
    """

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: Sequence[str] | None = None) -> int:
    """The command ``stb-app``. Returns its exit code: 0; 2 when it cannot start as it was told to; 1 when not at all; 141
    when nobody reads any more what it prints.
    """
    return until_nobody_reads(lambda: _run(arguments))


def _run(arguments: Sequence[str] | None) -> int:
    options = cli.parse(sys.argv[1:] if arguments is None else arguments, os.environ)
    if isinstance(options, cli.BoxOptions):
        from stb_app.registration import command

        return command(options)
    try:
        with ExitStack() as off:
            run(options, off)
    except CannotStart as reason:
        cli.complain(str(reason))
        return reason.code
    return 0


def run(options: cli.Options, off: ExitStack) -> None:
    """From the command line to the last picture; ``off`` undoes it all. Raises CannotStart."""
    began = time.monotonic()
    data = data_folder(options.data)
    off.callback(logging.shutdown)
    from stb_app import logs

    try:
        logs.write_to(data / "stb-app.log")
        off.callback(only_one(data).close)
    except OSError as error:
        raise _cannot_keep(data, error) from error

    # The picture first.
    from stb_app.kit.clock import SystemClock

    clock = SystemClock()
    options, screen = _screen_of(options, data)
    off.callback(screen.close)
    app = _television(options, data, clock, screen)
    loop = _loop(app, screen)
    app.begin()
    loop.draw()
    log.info("first picture after %.3f s", time.monotonic() - began)

    # Then what it can be watched and used with.
    try:
        _listen_to_signals(lambda: screen.post(app.switch_off), off)
        if options.web_remote is not None:
            _open_remote(options, options.web_remote, loop, screen, off)
        threading.Thread(
            target=_connect, args=(options, data, clock, app, off), name="start", daemon=True
        ).start()
        _warm_up(app)
        loop.run()
    finally:
        # Before the server and the reader are gone: a payment that has not begun is cancelled there.
        app.close(STOP_WITHIN_S)
    log.info("switched off")


def data_folder(given: Path | None) -> Path:
    """The folder of this box, made when it is missing. Raises CannotStart."""
    data = given
    if data is None:
        from platformdirs import user_data_path

        data = user_data_path("stb-pay", appauthor=False)
    try:
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        (data / "cards").mkdir(exist_ok=True, mode=0o700)
        # Rather now than in the middle of a payment: is there room for what must not be forgotten?
        probe = data / "probe"
        try:
            probe.write_bytes(bytes(ROOM_BYTES))
        finally:
            probe.unlink(missing_ok=True)
    except OSError as error:
        raise _cannot_keep(data, error) from error
    return data


def _cannot_keep(data: Path, error: OSError) -> CannotStart:
    from cardreader.disk import trouble

    return CannotStart(f"nothing can be kept: {trouble(data, error, '--data')}")


def only_one(data: Path) -> Any:
    """A lock on the folder: two televisions on one memory would each believe that a payment is the other's."""
    file = (data / "lock").open("w")
    try:
        import fcntl
    except ImportError:
        return file
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise CannotStart(f"another television uses {data}; end it, or give --data another folder") from error
    return file


def _screen_of(options: cli.Options, data: Path) -> tuple[cli.Options, Window | OffScreen]:
    """A window, or what there is to see where none can be: the options as they are in force then."""
    from stb_app.shell.window import NobodyAnswers

    try:
        return options, _open_screen(options, data)
    except NobodyAnswers as nobody:
        log.warning("nobody answers at the display %s: drawing off-screen", nobody)
        options = cli.without_display(options, f"Nobody answers at the display {nobody}")
        return options, _open_screen(options, data)


def _open_screen(options: cli.Options, data: Path) -> Window | OffScreen:
    from assets import path
    from stb_app.shell.remote import KeymapError, Keymaps, read_keymap
    from stb_app.shell.window import NobodyAnswers, NoWindow, OffScreen, Window

    if options.headless:
        return OffScreen(options.size)
    keymaps = Keymaps([read_keymap(path("keymaps", "keyboard.toml"))])
    for file in sorted((data / "keymaps").glob("*.toml")):
        try:
            keymaps.add(read_keymap(file))
        except (KeymapError, OSError):
            log.exception("key map %s is left out", file.name)
    try:
        return Window(options.size, options.fullscreen, keymaps, "stb-app")
    except NobodyAnswers:
        raise
    except NoWindow as error:
        raise CannotStart(f"no window can be opened ({error}); --headless draws off-screen") from error


def _television(options: cli.Options, data: Path, clock: SystemClock, screen: Window | OffScreen) -> App:
    from assets import AssetMissing, path
    from stb_app.kit.clock import FreezableClock
    from stb_app.kit.stage import Stage
    from stb_app.shell.app import App
    from stb_app.shell.catalogue import Catalogue
    from stb_app.shell.parts import Parts
    from stb_app.shell.registry import Registry
    from stb_app.shell.settings import SettingsFile
    from stb_app.shell.sound import Sounds, mixer

    registry = Registry.installed()
    if "home" not in registry:
        raise CannotStart(
            "the program is not installed (it finds its pages through its installation): make setup",
            BROKEN,
        )
    try:
        stage = Stage(screen.surface)
        catalogue = Catalogue(path("locale"))
    except AssetMissing as missing:
        raise CannotStart(str(missing), BROKEN) from missing
    parts = Parts(
        stage=stage,
        registry=registry,
        clock=FreezableClock(clock),
        input_clock=clock,
        catalogue=catalogue,
        settings_file=SettingsFile(data / "settings.json"),
        sounds=Sounds(mixer(lambda name: path("sounds", name))),
        post=screen.post,
    )
    app = App(parts, test_mode=options.demo)
    if options.lang is not None:
        app.set_language(options.lang)
    app.facts = {"box_number": options.box, "reader": options.reader}
    return app


def _loop(app: App, screen: Window | OffScreen) -> Loop:
    from stb_app.shell.loop import Loop
    from stb_app.shell.window import Window

    if isinstance(screen, Window):
        screen.on_key = app.key
        screen.on_quit = app.switch_off
        screen.on_surface = app.resize
        screen.on_lost_keyboard = app.release_keys
    return Loop(app, screen, screen)


def _listen_to_signals(switch_off: Callable[[], None], off: ExitStack) -> None:
    """SIGTERM and SIGINT end the program in order, also while the drawing thread sleeps inside SDL.

    Python's own handlers only run between two instructions of the main thread; the wake-up descriptor is written at once.
    """
    import socket

    def handler(number: int, frame: FrameType | None) -> None:
        """The thread below does the work."""

    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = {number: signal.signal(number, handler) for number in (signal.SIGTERM, signal.SIGINT)}
    signal.set_wakeup_fd(writer.fileno())

    def listen() -> None:
        while reader.recv(1):
            switch_off()

    def undo() -> None:
        signal.set_wakeup_fd(-1)
        for number, earlier in before.items():
            signal.signal(number, earlier)
        writer.close()

    threading.Thread(target=listen, name="signals", daemon=True).start()
    off.callback(undo)


def _open_remote(
    options: cli.Options, address: tuple[str, int], loop: Loop, screen: Window | OffScreen, off: ExitStack
) -> None:
    from assets import path
    from stb_app.shell.web_remote import Bridge, WebRemote

    bridge = Bridge(loop, screen, lambda: screen.surface)
    try:
        remote = WebRemote(bridge, *address, font=path("fonts", "NotoSansSC-Regular.ttf"))
    except (OSError, UnicodeError) as error:
        number = (error.errno if isinstance(error, OSError) else None) or 0
        why = {
            errno.EADDRINUSE: "that port is in use, perhaps by another television",
            errno.EACCES: "that port is for the administrator only",
        }.get(number, "this machine has no such address")
        raise CannotStart(
            f"the web remote cannot listen on {address[0]}:{address[1]}: {why}; "
            "--web-remote HOST:PORT chooses another one, port 0 a free one"
        ) from error
    off.callback(remote.close)
    why = f"{options.no_display}, so the picture is drawn off-screen. " if options.no_display else ""
    cli.tell(f"{why}Picture and remote control: {remote.url}")


def _connect(options: cli.Options, data: Path, clock: SystemClock, app: App, off: ExitStack) -> None:
    """Everything that the first picture does not need. On a thread; what it makes is handed to the drawing thread."""
    from importlib.metadata import version

    from cardreader.reader import SimulatedSlot
    from stb_app.journeys.memory import Memory
    from stb_app.journeys.online_payment import TERMINAL
    from stb_app.journeys.verbs import Verbs
    from stb_app.journeys.waiting import RealWaits
    from stb_app.shell.box import BoxFiles
    from stb_app.shell.connection import Connection
    from stb_app.tsp.client import TspClient
    from stb_app.tsp.model import Hello

    reader = _slot(options.reader, data / "cards", app)
    memory = Memory(data / "payments")
    # Journeys wait by the clock that the pages count down with: a frozen one stands still for both.
    verbs = Verbs(
        TspClient(authority=options.authority),
        reader,
        memory,
        RealWaits(app.clock),
        lambda: clock.now() + app.clock.ahead,
        traces=data / "traces",
        terminal=options.terminal or TERMINAL,
    )
    recovering = False
    complained: str | None = None

    def ready(hello: Hello) -> None:
        app.clock.ahead = hello.time - clock.now()
        files.keep_hotline(hello.hotline)

        def take() -> None:
            app.facts["hotline"] = hello.hotline
            app.test_mode = options.demo or hello.test_mode or reader.simulated
            app.clear_notice("connection")
            app.connected(verbs)
            recover()

        app.post(take)

    def recover() -> None:
        nonlocal recovering
        if not recovering:
            recovering = True
            app.start_beside(verbs.recover(), _recovered(app, memory.is_looked_at))

    def refused(code: str) -> None:
        log.warning("not connected: %s", code)
        app.post(hand_over)

    def hand_over() -> None:
        app.connected(verbs)  # from now on the pages ask, and say in their own words why there is no answer
        recover()

    files = BoxFiles(data)
    connection = Connection(verbs, options.box, files, ready, refused, clock.now, ours=options.demo)

    def begin() -> None:
        if isinstance(reader, SimulatedSlot):
            app.slot = reader
        app.slot_known.set()
        app.test_mode = app.test_mode or reader.simulated
        app.facts |= {"version": version("stb-pay"), **files.hotline()}
        app.refresh_all()
        off.callback(connection.close)
        if options.tsp is not None:
            address(options.tsp)
        else:
            child.start()
            off.callback(child.close)

    def address(url: str) -> None:
        app.post(lambda: app.facts.update(tsp=url))
        connection.connect(url)

    def down(why: str | None) -> None:
        nonlocal complained
        app.post(hand_over)
        app.post(lambda: tell_down(why is not None))
        if why and why != complained:
            complained = why
            cli.complain(why)

    def tell_down(refused: bool) -> None:
        if refused:
            app.notice(
                "The payment platform cannot start as it is set up. Its log, server.log, says why.",
                about="connection",
            )
        else:
            app.notice("The payment platform has stopped and is being started again.", about="connection")

    from stb_app.shell.child import ServerChild

    def server(port: int) -> tuple[str, ...]:
        run = (
            "-m",
            "server_stub",
            "run",
            "--data",
            str(data / "server"),
            "--port",
            str(port),
            "--parent-pipe",
        )
        return (sys.executable, *run, *(["--lan"] if options.lan else []))

    child = ServerChild(server, data / "server.log", address, down, port_path=data / "server.port")
    app.post(begin)


def _slot(url: str, cards: Path, app: App) -> Reader:
    """The card slot; without a simulated card whose stored state, or own file, is damaged."""
    from cardreader.errors import ProtocolError, StateDamaged
    from cardreader.reader import SimulatedSlot
    from cardreader.readers import open_reader

    scheme, _, profile = url.partition(":")
    reader = open_reader("sim:" if scheme == "sim" else url, str(cards))
    if isinstance(reader, SimulatedSlot) and profile:
        try:
            reader.insert(
                profile
            )  # it remembers a file that is bad, so that it is there when it has been mended
        except ProtocolError as damaged:
            state = isinstance(damaged, StateDamaged)
            file = cards / f"card-{Path(profile).name}.json"
            fresh = f". Delete {file} for a fresh card" if state else ""
            cli.complain(f"{damaged}; the card slot stays empty{fresh}")
            app.post(lambda: app.card_damaged(state))
    return reader


def _recovered(app: App, looked_at: Callable[[str], bool]) -> Callable[[RecoveryStep], None]:
    """What the background finds out, as notices; ``looked_at``: whether a page tells of a payment or a load itself."""
    from screens.told import card_asked, load_told, loads_open, open_codes, told, unsettled
    from screens.words import notice_tone, sentences
    from stb_app.journeys.steps import CardAsked, CardWanted, CodesOpen, Finished, LoadTold, Unheard

    wanted: tuple[OpenPayment, ...] = ()
    silent: tuple[OpenPayment, ...] = ()
    codes: tuple[Payment | None, ...] = ()
    loads: tuple[OpenLoad, ...] = ()
    card = CardAsked("gone")

    def tell(step: RecoveryStep) -> None:
        nonlocal wanted, codes, silent, loads, card
        # Its page may have been opened while an end was on its way.
        if isinstance(step, Finished):
            payment = step.payment
            if payment is not None and not looked_at(payment.payment):
                tone = notice_tone(step.money, served=step.outcome == "success")
                ended(payment.payment, tone, lambda: told(step, payment, app.t, app.say))
            return
        if isinstance(step, LoadTold):
            if not looked_at(step.record.load):
                tone = notice_tone(step.load.money, served=step.load.state == "loaded")
                ended(step.record.load, tone, lambda: load_told(step, app.t))
            return
        if isinstance(step, CardAsked):
            card = step
        elif isinstance(step, CardWanted):
            wanted = step.payments
        elif isinstance(step, Unheard):
            silent = step.payments
        elif isinstance(step, CodesOpen):
            codes = step.payments
        else:
            loads = step.loads
        asking = card.state == "asking"
        if asking or silent or wanted or codes or loads:
            app.notice(still_open, "busy" if asking else "warning", about="open", waits=True)
        else:
            app.clear_notice("open")

    def still_open() -> str:
        about_card = card_asked(card, app.t)
        if card.state == "asking":
            return about_card
        # What must not be paid again comes first, then the card: somebody has to put it in.
        cards = silent or wanted
        payments = unsettled(cards, app.t, app.say) if cards else open_codes(codes, app.t, app.say)
        open_ = filter(None, (payments, loads_open(loads, app.t)))
        return sentences(*open_, about_card) if card.state == "told" else sentences(about_card, *open_)

    def ended(name: str, tone: Tone, words: Callable[[], str]) -> None:
        """Tells how something earlier has ended; beside a payment, or its result, when that is gone."""

        def and_the_card() -> str:
            return sentences(words(), card_asked(card, app.t)) if card.state == "told" else words()

        app.notice(and_the_card, tone, TOLD_S, f"ended:{name}", waits=True)
        app.settled()

    return tell


def _warm_up(app: App) -> None:
    """Imports the pages that nobody has opened yet, one at a time between two pictures.

    So a page opens at once when it is wanted.
    """
    waiting = [screen_id for screen_id in app.screen_ids() if screen_id != "home"]

    def next_one() -> None:
        if waiting:
            app.warm(waiting.pop(0))
            app.timers.after(WARM_EVERY_S, next_one)

    app.timers.after(1.0, next_one)


if __name__ == "__main__":
    sys.exit(main())
