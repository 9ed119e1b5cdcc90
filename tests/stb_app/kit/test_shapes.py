"""The quick ways of filling boxes put the same pixels down as the plain ones."""

import pygame
import pytest

from stb_app.kit import shapes


def pixels(surface: pygame.Surface) -> bytes:
    return pygame.image.tobytes(surface, "RGBA")


def blank() -> pygame.Surface:
    surface = pygame.Surface((900, 260), 0, 32)
    surface.fill((9, 20, 33))
    return surface


@pytest.mark.parametrize(("radius", "border"), [(0, 2), (1, 3), (2, 2), (24, 1), (24, 3), (200, 2)])
def test_a_box_with_a_border_is_one_box_upon_another(radius: int, border: int) -> None:
    found, wanted = blank(), blank()
    rect = (7, 9, 860, 240)
    shapes.bordered_box(found, rect, radius, (30, 60, 90), border, (200, 100, 50))
    radius = min(radius, 120)
    shapes.solid_box(wanted, rect, radius, (200, 100, 50))
    inner = (7 + border, 9 + border, 860 - 2 * border, 240 - 2 * border)
    shapes.solid_box(wanted, inner, max(0, radius - border), (30, 60, 90))
    assert pixels(found) == pixels(wanted)


def test_a_large_box_is_filled_to_its_edges_and_no_further() -> None:
    found, wanted = blank(), blank()
    shapes.solid_box(found, (11, 5, 871, 233), 0, (1, 2, 3))
    shapes._flat(found, (11, 5, 871, 233), (200, 2, 3))
    wanted.fill((200, 2, 3), (11, 5, 871, 233))
    assert pixels(found) == pixels(wanted)
