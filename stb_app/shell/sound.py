"""Sounds:
played on a thread of their own, so that a slow or missing sound device costs the picture nothing.
"""

from __future__ import annotations

import logging
import os
import queue
import sys
import threading
from collections.abc import Callable
from pathlib import Path

SOUNDS = ("key", "error", "card", "paid")
log = logging.getLogger(__name__)


class Sounds:
    """Plays by name.

    ``load`` makes what plays one sound; the first failure ends all sound, with one line in the log.
    """

    def __init__(self, load: Callable[[str], Callable[[], object]]) -> None:
        self._load = load
        self._wanted: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self.on = True

    def play(self, name: str) -> None:
        """Returns at once. Raises ValueError for a name that is no sound."""
        if name not in SOUNDS:
            raise ValueError(f"no sound {name!r}; there are {', '.join(SOUNDS)}")
        if not self.on:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="sound", daemon=True)
            self._thread.start()
        self._wanted.put(name)

    def _run(self) -> None:
        players: dict[str, Callable[[], object]] = {}
        while True:
            name = self._wanted.get()
            try:
                if name not in players:
                    players[name] = self._load(name)
                players[name]()
            except Exception as error:
                # Whatever the mixer raises: a television without a sound device is a silent
                # television, not a broken one.
                log.warning("no sound: %s", error, exc_info=not isinstance(error, OSError | RuntimeError))
                self.on = False
                return


def mixer(folder: Callable[[str], Path]) -> Callable[[str], Callable[[], object]]:
    """A loader for ``Sounds`` that plays files through pygame's mixer, which it opens with the first sound."""

    def load(name: str) -> Callable[[], object]:
        from pygame import mixer as device

        if not _sound_server() and not any(Path("/dev/snd").glob("pcm*p")):
            raise OSError("this machine has no sound device")  # ALSA would say so on the terminal, at length
        if not device.get_init():
            device.init(frequency=22050, size=-16, channels=1, buffer=512)
        return device.Sound(folder(f"{name}.wav")).play

    return load


def _sound_server() -> bool:
    """Whether something else than ALSA's own devices plays: another system than Linux, PulseAudio, PipeWire."""
    if not sys.platform.startswith("linux") or os.environ.get("PULSE_SERVER"):
        return True
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    return runtime is not None and any(
        (Path(runtime) / name).exists() for name in ("pulse/native", "pipewire-0")
    )
