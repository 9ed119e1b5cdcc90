"""The drawing thread: posts from many threads, waking, sleeping, windows."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator

import pygame
import pytest

from assets import path
from stb_app.shell.loop import Loop
from stb_app.shell.remote import Keymaps, read_keymap
from stb_app.shell.window import OffScreen, Window
from tests.stb_app.shell.dummies import Television

DEADLINE_S = 10.0


@pytest.fixture
def window(monkeypatch: pytest.MonkeyPatch) -> Iterator[Window]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window((320, 180), False, Keymaps([read_keymap(path("keymaps", "keyboard.toml"))]), "test")
    yield window
    window.close()


@pytest.fixture(params=["off-screen", "window"])
def screen(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[OffScreen | Window]:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    made = (
        OffScreen((320, 180))
        if request.param == "off-screen"
        else Window((320, 180), False, Keymaps(), "test")
    )
    yield made
    made.close()


def test_posts_of_many_threads_all_arrive_in_order_and_wake_a_loop_that_sleeps_for_ever(
    screen: OffScreen | Window,
) -> None:
    tv = Television(post=screen.post)
    tv.app.clock.freeze()  # no timer would ever wake it
    loop, got = Loop(tv.app, screen, screen), []
    senders, each = 8, 200

    def send(sender: int) -> None:
        for number in range(each):
            screen.post(lambda number=number: got.append((sender, number)))

    def all_over() -> None:
        for thread in threads:
            thread.join(DEADLINE_S)
        screen.post(tv.app.switch_off)

    threads = [threading.Thread(target=send, args=(sender,)) for sender in range(senders)]
    for thread in [*threads, threading.Thread(target=all_over)]:
        thread.start()
    loop.run()
    assert len(got) == senders * each
    for sender in range(senders):
        assert [number for who, number in got if who == sender] == list(range(each))


def test_a_post_after_the_end_is_harmless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    window = Window((320, 180), False, Keymaps(), "test")
    window.close()
    window.post(lambda: None)
    window = OffScreen((320, 180))
    window.close()
    window.post(lambda: None)


def test_the_loop_tells_every_version_once_and_calls_back_after_drawing(screen: OffScreen | Window) -> None:
    tv = Television(post=screen.post)
    loop = Loop(tv.app, screen, screen)
    told: list[int] = []
    loop.on_picture = told.append
    loop.draw()
    loop.draw()
    assert told == [tv.app.version]
    seen: list[str | None] = []
    tv.app.key("KEY_DOWN")
    loop.after_drawing(lambda: seen.append(tv.focus))
    loop.draw()
    assert seen == ["records"]
    assert told == [tv.app.version - 1, tv.app.version]


def test_nothing_is_presented_when_nothing_changed(screen: OffScreen | Window) -> None:
    tv = Television(post=screen.post)
    loop = Loop(tv.app, screen, screen)
    loop.draw()
    frames = loop.frames
    loop.turn(0)
    assert loop.frames == frames


def test_keys_of_the_keyboard_come_as_names(window: Window) -> None:
    got: list[tuple[str, str]] = []
    window.on_key = lambda name, state: got.append((name, state))
    for kind in (pygame.KEYDOWN, pygame.KEYUP):
        pygame.event.post(pygame.Event(kind, key=pygame.K_RETURN, scancode=40))
    pygame.event.post(pygame.Event(pygame.KEYDOWN, key=pygame.K_F12, scancode=69))
    pygame.event.post(pygame.Event(pygame.KEYDOWN, key=pygame.K_KP7, scancode=95))
    window.wait(0)
    assert got == [("KEY_OK", "down"), ("KEY_OK", "up"), ("KEY_7", "down")]


def test_closing_and_losing_the_keyboard_are_told(window: Window) -> None:
    told: list[str] = []
    window.on_quit = lambda: told.append("quit")
    window.on_lost_keyboard = lambda: told.append("lost")
    pygame.event.post(pygame.Event(pygame.QUIT))
    pygame.event.post(pygame.Event(pygame.WINDOWFOCUSLOST))
    window.wait(0)
    assert told == ["quit", "lost"]


def test_another_size_is_another_surface_and_an_exposure_is_none(window: Window) -> None:
    surfaces: list[tuple[int, int]] = []
    window.on_surface = lambda surface: surfaces.append(surface.get_size())
    pygame.event.post(pygame.Event(pygame.WINDOWEXPOSED))
    window.wait(0)
    assert surfaces == []
    pygame.display.set_mode((640, 200), pygame.RESIZABLE)
    pygame.event.post(pygame.Event(pygame.WINDOWSIZECHANGED, x=640, y=200))
    window.wait(0)
    assert surfaces == [(640, 200)]
    assert window.surface.get_size() == (640, 200)


def test_sdl_is_told_not_to_go_through_a_software_gl_texture() -> None:
    assert os.environ["SDL_FRAMEBUFFER_ACCELERATION"] == "0"
