"""The stage: lays pages out, draws what changed, moves the focus, and can say what is to be seen.

Two pictures are kept: ``_base`` holds the page without focus and without what moves; the surface holds what a person
sees. A new page is compared with the old one item by item, only the differing rectangles of ``_base`` are painted anew,
and the focus and the moving parts are laid over them on the surface.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import pygame

import stb_app.kit.parts  # noqa: F401  (says how the parts of a page are measured)
from stb_app.kit import chrome, fonts, icons, shapes, spatial, theme
from stb_app.kit import focus as focusing
from stb_app.kit.chrome import FootKey, Tone, TopBar
from stb_app.kit.items import (
    Dim,
    Item,
    Live,
    Page,
    Rect,
    Run,
    Shadow,
    Spot,
    Viewport,
    Words,
    intersect,
    visible,
)
from stb_app.kit.layout import Context, Layouter
from stb_app.kit.nodes import Node, Panel
from stb_app.kit.paint import PHASES, TURN_SECONDS, Painter

__all__ = ["FootKey", "Layer", "Picture", "PlacedTarget", "PlacedText", "Stage", "TopBar"]

How = Literal["same", "push", "pop", "dialog", "fade"]

_FRAME = 1 / 60
_OUT_SHARE = 0.32
_SLIDE = 36
_BAND = 120
_PAINT_SECONDS = 0.005
_DIALOG_MOST, _DIALOG_LEAST = 1240, 720
_LIFT_BYTES = 10_000_000
_KEPT_LAYOUTS = 4


@dataclass(frozen=True, slots=True)
class Layer:
    """A page or a dialog: its screen's id, its body, the key of the target in focus."""

    id: str
    body: Node
    focus: str | None = None
    modal: bool = False
    busy: bool = False


@dataclass(frozen=True, slots=True)
class Picture:
    """Everything that is to be seen: the page, then the dialogs above it, and what stands around them."""

    top: TopBar
    layers: tuple[Layer, ...]
    foot: tuple[FootKey, ...] = ()
    notice: str | None = None
    notice_tone: Tone = "info"


@dataclass(frozen=True, slots=True)
class PlacedTarget:
    """A target of the top layer. ``rect`` in canvas pixels; ``scroll`` how far its viewport is scrolled, in them too."""

    key: str
    text: str
    enabled: bool
    rect: Rect
    focused: bool
    scroll: int = 0


@dataclass(frozen=True, slots=True)
class PlacedText:
    """A text that can be read now. ``rect`` in canvas pixels; ``clipped``: it does not fit where it belongs."""

    text: str
    rect: Rect
    clipped: bool
    layer: str


@dataclass(slots=True)
class _Change:
    """A change of page on its way."""

    how: How
    since: float
    area: Rect
    seconds: float
    shown: float = 0.0
    patch: pygame.Surface | None = None
    under: Rect | None = None


@dataclass(slots=True)
class _Laid:
    """A picture laid out."""

    items: list[Item] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    viewports: list[Viewport] = field(default_factory=list)
    live: list[Item] = field(default_factory=list)


class Stage:
    """Draws pictures on a surface. All methods on one thread.

    ``surface``: what a person sees, any size; the canvas of 1920x1080 is scaled to it and centred. ``text_scale`` 1.0 to
    1.5. ``margin``: part of the canvas to leave free on each side for televisions that cut it off, 0-0.10.
    ``timer``: seconds, only to spread the painting of a large change over several frames.
    """

    def __init__(
        self,
        surface: pygame.Surface,
        *,
        text_scale: float = 1.0,
        motion: bool = True,
        margin: float = 0.0,
        timer: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._text_scale, self._motion, self._margin = text_scale, motion, margin
        self._timer = timer
        self._picture: Picture | None = None
        self._laid = _Laid()
        self._offsets: dict[str, dict[str, int]] = {}
        self._memory: dict[str, dict[str, str]] = {}
        self._layouters: dict[str, tuple[Layouter, Node]] = {}
        self._lifts: dict[object, focusing.Lift] = {}
        self._lift_bytes = 0
        self.resize(surface)

    # What the subscriber can set

    def resize(self, surface: pygame.Surface) -> None:
        """Draws on another surface from now on."""
        self._surface = surface
        width, height = surface.get_size()
        room = 1 - 2 * self._margin
        self._scale = min(width / theme.CANVAS_W, height / theme.CANVAS_H) * room
        self._origin = (
            round((width - theme.CANVAS_W * self._scale) / 2),
            round((height - theme.CANVAS_H * self._scale) / 2),
        )
        self._painter = Painter((width, height), self._scale)
        self._base = pygame.Surface((width, height), 0, 32)
        self._afresh()

    def set_text_scale(self, text_scale: float) -> None:
        """1.0 to 1.5."""
        if text_scale != self._text_scale:
            self._text_scale = text_scale
            self._afresh()

    def set_motion(self, motion: bool) -> None:
        """False: everything happens at once."""
        self._motion = motion
        if not motion:
            self.settle()

    def set_margin(self, margin: float) -> None:
        """0 to 0.10 of the canvas on each side."""
        if margin != self._margin:
            self._margin = margin
            self.resize(self._surface)

    def _afresh(self) -> None:
        self._layouters.clear()
        self._lifts.clear()
        self._lift_bytes = 0
        self._lifted: focusing.Lift | None = None
        self._phases: dict[Item, int] = {}
        self._change: _Change | None = None
        self._focus_since: float | None = None
        self._dirty: list[Rect] = []
        self._unprepared: list[Spot] = []
        self._restore: list[Rect] = []
        if self._picture is not None:
            self._laid = self._lay_out(self._picture)
        self._dirty = [(0, 0, *self._surface.get_size())]

    # Showing

    def show(self, picture: Picture, now: float, how: How = "same") -> None:
        """What is to be seen from now on. Lays it out; ``frame`` draws it.

        The focus of the top layer is where its ``focus`` says; viewports follow it. ``how`` other than "same" is a
        change of page, which moves for PAGE_SECONDS or DIALOG_SECONDS unless motion is off.
        """
        old, before = self._picture, self._focused()
        if old == picture and how == "same":
            return
        self._picture = picture
        top = picture.layers[-1]
        only_focus = old is not None and _without_focus(old) == _without_focus(picture)
        if not only_focus or self._must_follow(top):
            laid = self._lay_out(picture)
            fresh = _differences(self._laid, laid)
            self._laid = laid
            self._dirty.extend(fresh)
            self._unprepared = self._worth_preparing()
        else:
            fresh = []
        self._remember(top)
        after = self._focused()
        same_target = before is not None and after is not None and old is not None
        same_target = same_target and before.key == after.key and old.layers[-1].id == top.id  # type: ignore[union-attr]
        if how != "same" and old is not None and self._motion:
            self._begin(how, now, fresh)
        else:
            if self._change is not None and only_focus:
                self._finish_change()
            self._focus_since = now if self._motion and not same_target and old is not None else None

    def _must_follow(self, top: Layer) -> bool:
        """Whether the target in focus is not wholly in its viewport."""
        spot = self._focused()
        return spot is not None and spot.scroll is not None and not self._in_view(spot)

    def _in_view(self, spot: Spot) -> bool:
        for view in self._laid.viewports:
            if view.key == spot.scroll and not view.own_target:
                margin = round(48 * self._scale)
                top, bottom = view.rect[1], view.rect[1] + view.rect[3]
                if view.offset > 0:
                    top += margin
                if view.offset + view.rect[3] < view.extent:
                    bottom -= margin
                return spot.rect[1] >= top and spot.rect[1] + spot.rect[3] <= bottom
        return True

    def _remember(self, top: Layer) -> None:
        spot = self._focused()
        if spot is not None:
            memory = self._memory.setdefault(top.id, {})
            for group in spot.groups:
                memory[group] = spot.key

    def _focused(self) -> Spot | None:
        if self._picture is None or self._picture.layers[-1].busy:
            return None
        key = self._picture.layers[-1].focus
        return next((spot for spot in self._laid.spots if spot.key == key and spot.enabled), None)

    # Layout

    def _px(self, length: float) -> int:
        return round(length * self._scale)

    def _area(self, x: float, y: float, width: float, height: float) -> Rect:
        return (
            self._origin[0] + self._px(x),
            self._origin[1] + self._px(y),
            self._px(width),
            self._px(height),
        )

    def _layouter(self) -> Layouter:
        return Layouter(self._scale, self._text_scale)

    def _layouter_of(self, layer: Layer) -> tuple[Layouter, Node]:
        """The layouter that has measured this layer's body already, or a new one, and the body it measured."""
        kept = self._layouters.pop(layer.id, None)
        if kept is None or kept[1] != layer.body:
            kept = self._layouter(), layer.body
        self._layouters[layer.id] = kept
        if len(self._layouters) > _KEPT_LAYOUTS:
            del self._layouters[next(iter(self._layouters))]
        kept[0].begin(layer.focus, self._offsets.get(layer.id, {}))
        return kept

    def _lay_out(self, picture: Picture) -> _Laid:
        laid = _Laid()
        safe_w = theme.CANVAS_W - 2 * theme.SAFE_X
        bars = self._layouter()
        chrome.top_bar(bars, picture.top, self._area(theme.SAFE_X, theme.TOP_Y - 40, safe_w, 80))
        laid.items += bars.page.items
        laid.words += bars.page.words
        bottom = theme.BODY_BOTTOM
        below = self._layouter()
        if picture.notice:
            area = self._area(theme.SAFE_X, 0, safe_w, 0)
            tall = chrome.notice_height(below, picture.notice, area[2])
            end = self._origin[1] + self._px(theme.BODY_BOTTOM + 8)
            chrome.notice(below, picture.notice, picture.notice_tone, (area[0], end - tall, area[2], tall))
            bottom -= round(tall / self._scale) + 16
        for number, layer in enumerate(picture.layers):
            page = self._lay_out_layer(layer, number, bottom)
            if number:
                laid.items.append(Item((0, 0, *self._surface.get_size()), Dim()))
            laid.items += page.items
            laid.words += page.words
            laid.spots, laid.viewports = page.spots, page.viewports
            laid.live = [item for item in page.items if isinstance(item.what, Live)]
        chrome.footer(below, picture.foot, self._area(theme.SAFE_X, theme.FOOT_Y - 30, safe_w, 60))
        laid.items += below.page.items
        laid.words += below.page.words
        return laid

    def _lay_out_layer(self, layer: Layer, number: int, bottom: float) -> Page:
        layouter, body = self._layouter_of(layer)
        safe_w = theme.CANVAS_W - 2 * theme.SAFE_X
        area = self._area(theme.SAFE_X, theme.BODY_TOP, safe_w, bottom - theme.BODY_TOP)
        if not layer.modal:
            layouter.place(body, area, Context(layer.id, area))
        else:
            if not isinstance(body, Panel):
                inner = body
                body = layouter.made("dialog", lambda: Panel(inner, pad=56, radius=theme.R_HERO, border=True))
            high = self._area(theme.SAFE_X, theme.SAFE_Y + 20, safe_w, theme.BODY_BOTTOM - theme.SAFE_Y - 20)
            most = self._px(_DIALOG_MOST * min(self._text_scale, 1.25))
            width = max(self._px(_DIALOG_LEAST), min(layouter.natural(body), most))
            if body.width is not None:
                width = self._px(body.width)
            width = min(width, high[2])
            height = min(layouter.height(body, width), high[3])
            left, top = high[0] + (high[2] - width) // 2, high[1] + (high[3] - height) // 2
            spread, drop = self._px(48), self._px(14)
            around = (left - spread, top - spread + drop, width + 2 * spread, height + 2 * spread)
            layouter.emit(around, Shadow(self._px(body.radius), spread, 150))
            layouter.place(body, (left, top, width, height), Context(layer.id, high))
        self._offsets[layer.id] = layouter.offsets
        return layouter.page

    # What can be asked

    def _canvas(self, rect: Rect) -> Rect:
        x, y, w, h = rect
        left, top = (x - self._origin[0]) / self._scale, (y - self._origin[1]) / self._scale
        return (round(left), round(top), round(w / self._scale), round(h / self._scale))

    def targets(self) -> tuple[PlacedTarget, ...]:
        """The targets of the top layer in reading order."""
        focused = self._focused()
        offsets = {view.key: view.offset for view in self._laid.viewports}
        return tuple(
            PlacedTarget(
                spot.key,
                spot.text,
                spot.enabled,
                self._canvas(spot.rect),
                focused is not None and spot.key == focused.key,
                round(offsets.get(spot.scroll or "", 0) / self._scale),
            )
            for spot in self._laid.spots
        )

    def texts(self) -> tuple[PlacedText, ...]:
        """Everything that can be read now, in painting order; what a viewport hides is not in it."""
        return tuple(
            PlacedText(words.text, self._canvas(words.rect), words.clipped, words.layer)
            for words in self._laid.words
            if not words.hidden
        )

    def neighbour(self, direction: spatial.Direction) -> str | None:
        """Key of the enabled target in that direction from the focus, in the top layer; None where there is none.

        A viewport that is itself the target scrolls instead and answers its own key, until it is at its end.
        """
        spot = self._focused()
        if spot is None or self._picture is None:
            return None
        if direction in ("up", "down") and self._scroll(spot, direction):
            return spot.key
        memory = self._memory.get(self._picture.layers[-1].id, {})
        return spatial.neighbour(self._laid.spots, spot.key, direction, memory)

    def _scroll(self, spot: Spot, direction: str) -> bool:
        view = next((v for v in self._laid.viewports if v.key == spot.key and v.own_target), None)
        if view is None or self._picture is None:
            return False
        step = view.rect[3] * 3 // 5
        offset = view.offset + (step if direction == "down" else -step)
        offset = max(0, min(offset, view.extent - view.rect[3]))
        if offset == view.offset:
            return False
        self._offsets[self._picture.layers[-1].id][view.key] = offset
        laid = self._lay_out(self._picture)
        self._dirty.extend(_differences(self._laid, laid))
        self._laid = laid
        return True

    # Drawing

    def frame(self, now: float) -> list[pygame.Rect]:
        """Draws what is due and returns what changed on the surface; an empty list when nothing did."""
        if self._picture is None:
            return []
        if self._change is not None:
            return self._frame_of_change(now)
        drawn = self._compose(now, self._paint_dirty())
        if not drawn:
            self._prepare_one()
        return drawn

    def _prepare_one(self) -> None:
        """Makes the focused picture of one more target, in a frame that has nothing else to do."""
        while self._unprepared:
            spot = self._unprepared.pop()
            if spot.enabled and (self._lift_key(spot), focusing.STEPS) not in self._lifts:
                self._full_lift(spot)
                return

    def next_wake(self, now: float) -> float | None:
        """Seconds until ``frame`` has something to do; None: only after ``show``."""
        if self._picture is None:
            return None
        if self._dirty or self._restore:
            return 0.0
        if self._change is not None or self._focus_since is not None:
            return _FRAME
        if self._unprepared:
            return _FRAME
        if self._laid.live and self._motion:
            waits = []
            for item in self._laid.live:
                assert isinstance(item.what, Live)
                span = TURN_SECONDS[item.what.what] / PHASES[item.what.what]
                waits.append(span - now % span)
            return max(0.001, min(waits))
        return None

    def settle(self) -> None:
        """Ends all movement; the next ``frame`` draws everything as it will stay."""
        if self._change is not None:
            self._finish_change()
        self._focus_since = None

    def repaint(self, rects: Iterable[pygame.Rect]) -> None:
        """Something else drew on the surface there; the next ``frame`` puts it right."""
        self._restore.extend((r.x, r.y, r.w, r.h) for r in rects)

    def warm(self, pictures: Iterable[Picture]) -> None:
        """Draws the words and drawings of pages in advance, so that their first frame is as quick as any."""
        offsets = {key: dict(value) for key, value in self._offsets.items()}
        for picture in pictures:
            for item in self._lay_out(picture).items:
                if isinstance(item.what, Run):
                    fonts.render(item.what.text, item.what.size, item.what.bold, item.what.color)
        self._offsets = offsets

    def _paint_dirty(self, seconds: float | None = None) -> list[Rect]:
        """Paints what differs into the base, all of it or as much as ``seconds`` allow; returns what was painted."""
        if not self._dirty:
            return []
        whole = (0, 0, *self._surface.get_size())
        areas = merged(area for rect in self._dirty if (area := intersect(rect, whole)))
        if seconds is not None:
            areas = [band for area in areas for band in _bands(area, self._px(_BAND))]
        end = self._timer() + (seconds or 0)
        for number, area in enumerate(areas):
            self._painter.region(self._base, area, self._laid.items)
            if seconds is not None and self._timer() > end and number + 1 < len(areas):
                self._dirty = list(areas[number + 1 :])
                return areas[: number + 1]
        self._dirty = []
        return areas

    def _lift(self, now: float) -> focusing.Lift | None:
        spot = self._focused()
        if spot is None:
            self._focus_since = None
            return None
        step = focusing.STEPS
        if self._focus_since is not None:
            part = (now - self._focus_since) / theme.FOCUS_SECONDS
            step = max(1, min(focusing.STEPS, 1 + int(part * focusing.STEPS)))
            if step == focusing.STEPS:
                self._focus_since = None
        full = self._full_lift(spot)
        if step == focusing.STEPS:
            return full
        by = 1.0 if self._only_framed(spot) else focusing.factor(spot, self._scale)
        key = (self._lift_key(spot), step)
        return self._kept_lift(key, spot.rect[:2], lambda: focusing.between(full, by, step))

    def _full_lift(self, spot: Spot) -> focusing.Lift:
        key = (self._lift_key(spot), focusing.STEPS)
        return self._kept_lift(key, spot.rect[:2], lambda: self._make_lift(spot))

    def _lift_key(self, spot: Spot) -> object:
        left, top = spot.rect[:2]
        content = tuple(
            ((item.rect[0] - left, item.rect[1] - top, item.rect[2], item.rect[3]), item.what)
            for item in spot.content
        )
        return (spot.style, spot.rect[2:], spot.radius, self._only_framed(spot), content)

    def _worth_preparing(self) -> list[Spot]:
        """Targets of the top layer, those next to the focus last, which is where taking begins; as many as can be kept."""
        spot = self._focused()
        if spot is None:
            return []
        x, y = spot.rect[:2]
        near = sorted(self._laid.spots, key=lambda s: abs(s.rect[0] - x) + abs(s.rect[1] - y))
        chosen: list[Spot] = []
        room = _LIFT_BYTES // 2
        for candidate in near:
            room -= 4 * candidate.rect[2] * candidate.rect[3]
            if room < 0:
                break
            chosen.append(candidate)
        return chosen[::-1]

    def _only_framed(self, spot: Spot) -> bool:
        alone = any(view.key == spot.key and view.own_target for view in self._laid.viewports)
        return alone or focusing.keeps_size(spot)

    def _make_lift(self, spot: Spot) -> focusing.Lift:
        if self._only_framed(spot):
            return focusing.frame_only(self._painter, spot)
        return focusing.lift(self._painter, spot)

    def _kept_lift(
        self, key: object, at: tuple[int, int], make: Callable[[], focusing.Lift]
    ) -> focusing.Lift:
        found = self._lifts.pop(key, None)
        if found is None:
            made = make()
            found = focusing.Lift(made.picture, (made.at[0] - at[0], made.at[1] - at[1]))
            self._lift_bytes += found.picture.get_pitch() * found.picture.get_height()
        self._lifts[key] = found
        while self._lift_bytes > _LIFT_BYTES and len(self._lifts) > 2:
            gone = self._lifts.pop(next(iter(self._lifts)))
            self._lift_bytes -= gone.picture.get_pitch() * gone.picture.get_height()
        return focusing.Lift(found.picture, (found.at[0] + at[0], found.at[1] + at[1]))

    def _phase(self, item: Item, now: float) -> int:
        assert isinstance(item.what, Live)
        kind = item.what.what
        if not self._motion:
            return 0
        return int(now / TURN_SECONDS[kind] * PHASES[kind]) % PHASES[kind]

    def _compose(self, now: float, touched: Sequence[Rect]) -> list[pygame.Rect]:
        """Lays moving parts and focus over the base where either changed."""
        restore = [*touched, *self._restore]
        self._restore = []
        old, new = self._lifted, self._lift(now)
        phases = {item: self._phase(item, now) for item in self._laid.live}
        if phases != self._phases:
            restore += [
                rect
                for item, phase in phases.items()
                if self._phases.get(item) != phase and (rect := visible(item))
            ]
            gone = [rect for item in self._phases if item not in phases and (rect := visible(item))]
            restore += gone
        if (old is None) != (new is None) or (
            old and new and (old.picture is not new.picture or old.at != new.at)
        ):
            restore += [lifted.rect for lifted in (old, new) if lifted is not None]
        if not restore:
            return []
        whole = (0, 0, *self._surface.get_size())
        areas = merged(area for rect in restore if (area := intersect(rect, whole)))
        over = [visible(item) for item in self._laid.live] + ([new.rect] if new else [])
        areas = _closed(areas, [rect for rect in over if rect is not None], whole)
        for area in areas:
            self._surface.blit(self._base, area[:2], area)
        for item, phase in phases.items():
            rect = visible(item)
            if rect and any(intersect(rect, area) for area in areas):
                self._painter.live(self._surface, item, phase)
        if new is not None and any(intersect(new.rect, area) for area in areas):
            self._surface.blit(new.picture, new.at)
        self._lifted, self._phases = new, phases
        return [pygame.Rect(area) for area in areas]

    # Change of page

    def _begin(self, how: How, now: float, fresh: Sequence[Rect]) -> None:
        if self._change is not None:
            self._finish_change()
        width, height = self._surface.get_size()
        top = self._origin[1] + self._px(theme.BODY_TOP - 26)
        foot = self._origin[1] + self._px(theme.BODY_BOTTOM + 20)
        area = (0, 0, width, height) if how == "dialog" else (0, top, width, foot - top)
        seconds = theme.DIALOG_SECONDS if how == "dialog" else theme.PAGE_SECONDS
        self._focus_since = None
        self._change = _Change(how, now, area, seconds)

    def _frame_of_change(self, now: float) -> list[pygame.Rect]:
        change = self._change
        assert change is not None
        out = change.seconds * _OUT_SHARE if change.how != "dialog" else 0.0
        elapsed = now - change.since
        painted = self._paint_dirty(_PAINT_SECONDS if elapsed < change.seconds * 0.5 else None)
        del painted
        if elapsed >= change.seconds and not self._dirty:
            self._finish_change()
            return self._compose(now, self._take_restore())
        if change.how != "dialog" and elapsed < out:
            return self._fade_out(change, elapsed / out)
        if self._dirty:
            return []
        return self._fade_in(change, now, min(1.0, max(0.0, (elapsed - out) / (change.seconds - out))))

    def _take_restore(self) -> list[Rect]:
        taken, self._restore = self._restore, []
        return taken

    def _fade_out(self, change: _Change, part: float) -> list[pygame.Rect]:
        """The old page goes: more and more ground over it."""
        wanted = part * (2 - part)
        share = 1 - (1 - wanted) / max(0.001, 1 - change.shown)
        if share <= 0:
            return []
        change.shown = wanted
        self._blend(self._painter.ground, change.area, share, 0)
        return [pygame.Rect(change.area)]

    def _fade_in(self, change: _Change, now: float, part: float) -> list[pygame.Rect]:
        """The new page comes, with its focus upon it."""
        if change.patch is None:
            self._put_focus_into_base(change, now)
            change.shown = 0.0
        wanted = 1 - (1 - part) ** 2
        if change.how == "dialog":
            share = 1 - (1 - wanted) / max(0.001, 1 - change.shown)
            change.shown = wanted
            self._blend(self._base, change.area, share, 0)
        else:
            slide = {"push": _SLIDE, "pop": -_SLIDE}.get(change.how, 0)
            self._surface.blit(self._painter.ground, change.area[:2], change.area)
            self._blend(self._base, change.area, wanted, round(self._px(slide) * (1 - wanted)))
        rects = [pygame.Rect(change.area)]
        whole = (0, 0, *self._surface.get_size())
        if change.area != whole:
            x, y, w, h = change.area
            for strip in ((0, 0, w, y), (0, y + h, w, whole[3] - y - h)):
                self._surface.blit(self._base, strip[:2], strip)
                rects.append(pygame.Rect(strip))
        return rects

    def _blend(self, picture: pygame.Surface, area: Rect, share: float, aside: int) -> None:
        picture.set_alpha(round(255 * share))
        self._surface.set_clip(area)
        self._surface.blit(picture, (area[0] + aside, area[1]), area)
        self._surface.set_clip(None)
        picture.set_alpha(None)

    def _put_focus_into_base(self, change: _Change, now: float) -> None:
        lifted = self._lift(now)
        area = intersect(lifted.rect, (0, 0, *self._surface.get_size())) if lifted else None
        if lifted is None or area is None:
            change.patch = pygame.Surface((1, 1), 0, 32)
            return
        change.patch = self._base.subsurface(area).copy()
        change.under = area
        self._base.blit(lifted.picture, lifted.at)

    def _finish_change(self) -> None:
        change = self._change
        assert change is not None
        if change.patch is not None and change.under is not None:
            self._base.blit(change.patch, change.under[:2])
        self._change = None
        self._lifted = None
        self._phases = {}
        self._restore = [(0, 0, *self._surface.get_size())]


def _without_focus(picture: Picture) -> Picture:
    return replace(picture, layers=tuple(replace(layer, focus=None) for layer in picture.layers))


def _bands(area: Rect, height: int) -> list[Rect]:
    x, y, w, h = area
    return [(x, y + at, w, min(height, h - at)) for at in range(0, h, height)]


def _differences(old: _Laid, new: _Laid) -> list[Rect]:
    """Rectangles in which two pages differ: where an item is in one only, or in both in another order."""
    before, after = Counter(old.items), Counter(new.items)
    dirty = [rect for item in (before - after) + (after - before) if (rect := visible(item))]
    common = before & after
    first, second = _only(old.items, common), _only(new.items, common)
    if first != second:
        dirty += [
            rect for a, b in zip(first, second, strict=True) if a != b for i in (a, b) if (rect := visible(i))
        ]
    return dirty


def _only(items: Sequence[Item], common: Counter[Item]) -> list[Item]:
    left = Counter(common)
    found = []
    for item in items:
        if left[item]:
            left[item] -= 1
            found.append(item)
    return found


def merged(rects: Iterable[Rect]) -> list[Rect]:
    """Fewer rectangles that cover the same: those that overlap, or nearly, become one."""
    found: list[Rect] = []
    for rect in rects:
        current = rect
        at = 0
        while at < len(found):
            other = found[at]
            joint = _union(current, other)
            if joint[2] * joint[3] <= (current[2] * current[3] + other[2] * other[3]) * 5 // 4:
                current = joint
                del found[at]
                at = 0
            elif intersect(current, other):
                current = joint
                del found[at]
                at = 0
            else:
                at += 1
        found.append(current)
    return found


def _union(a: Rect, b: Rect) -> Rect:
    x, y = min(a[0], b[0]), min(a[1], b[1])
    return (x, y, max(a[0] + a[2], b[0] + b[2]) - x, max(a[1] + a[3], b[1] + b[3]) - y)


def _closed(areas: list[Rect], over: Sequence[Rect], whole: Rect) -> list[Rect]:
    """The areas, enlarged until whatever lies over the page is in them wholly or not at all."""
    while True:
        extra = []
        for rect in over:
            seen = intersect(rect, whole)
            if seen is None:
                continue
            touching = [area for area in areas if intersect(seen, area)]
            if touching and not any(_union(area, seen) == area for area in touching):
                extra.append(seen)
        if not extra:
            return areas
        areas = merged([*areas, *extra])


def forget() -> None:
    """Drops every kept picture of letters, drawings and shapes."""
    fonts.forget()
    icons.forget()
    shapes.forget()
