"""A real X server without a screen, and a person's hands on its keyboard."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator

from PIL import Image, ImageGrab

KEYS = {
    "UP": "Up", "DOWN": "Down", "LEFT": "Left", "RIGHT": "Right", "OK": "Return", "BACK": "Escape",
    **{str(digit): str(digit) for digit in range(10)},
}  # fmt: skip


@contextlib.contextmanager
def running_xvfb(size: str = "1920x1080") -> Iterator[str]:
    """An Xvfb of our own; its DISPLAY."""
    read, write = os.pipe()
    process = subprocess.Popen(
        ["Xvfb", "-displayfd", str(write), "-screen", "0", f"{size}x24", "-nolisten", "tcp"],
        pass_fds=(write,), stderr=subprocess.DEVNULL,
    )  # fmt: skip
    os.close(write)
    try:
        with os.fdopen(read) as announced:
            number = announced.readline().strip()
        assert number, "Xvfb did not start"
        yield f":{number}"
    finally:
        process.terminate()
        process.wait(10)


def xdotool(display: str, *arguments: str) -> str:
    return subprocess.run(
        ["xdotool", *arguments],
        env={**os.environ, "DISPLAY": display},
        capture_output=True,
        text=True,
        check=True,
        timeout=20,
    ).stdout.strip()


def focus_window(display: str, pid: int) -> str:
    """Waits for the program's window and gives it the keyboard."""
    window = xdotool(display, "search", "--sync", "--onlyvisible", "--pid", str(pid)).split()[0]
    xdotool(display, "windowfocus", "--sync", window)
    return window


def press(display: str, *names: str) -> None:
    """Real key events, as from a keyboard."""
    for name in names:
        xdotool(display, "key", KEYS[name])


def photograph(display: str) -> Image.Image:
    """What is on the X screen."""
    return ImageGrab.grab(xdisplay=display)
