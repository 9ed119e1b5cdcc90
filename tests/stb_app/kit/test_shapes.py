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


@pytest.mark.parametrize(("radius", "border"), [(0, 2), (2, 3), (24, 2), (300, 4)])
def test_an_outline_out_of_corners_and_lines_is_the_whole_one(radius: int, border: int) -> None:
    found, wanted = blank(), blank()
    shapes.draw_outline(found, (7, 9, 500, 200), radius, border, (200, 100, 50))
    whole = shapes.outline(500, 200, max(border, min(radius, 100)), border, (200, 100, 50, 255))
    wanted.blit(whole, (7, 9))
    assert pixels(found) == pixels(wanted)


def test_a_picture_is_cut_in_its_corners_only() -> None:
    plain = shapes.gradient(120, 80, ((10, 20, 200), (200, 90, 10)))
    cut = shapes.rounded(plain.copy(), 20)
    assert [cut.get_at(place).a for place in ((0, 0), (119, 0), (0, 79), (119, 79))] == [0, 0, 0, 0]
    assert cut.get_at((60, 40)) == plain.get_at((60, 40))
    assert cut.get_at((20, 0)) == plain.get_at((20, 0))
