"""The stage: lays pages out, draws what changed, moves the focus, and can say what is to be seen.

Two pictures are kept: ``_base`` holds the page without focus and without what moves; the surface holds what a person
sees. A new page is compared with the old one item by item, only the differing rectangles of ``_base`` are painted anew,
and the focus and the moving parts are laid over them on the surface.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pygame

from stb_app.kit import focus as focusing
from stb_app.kit import fonts, heap, icons, shapes, spatial, theme
from stb_app.kit.chrome import FootKey, TopBar
from stb_app.kit.diff import bands, closed, differences, merged
from stb_app.kit.focus import Lift, Lifts
from stb_app.kit.items import Item, Live, Rect, Spot, intersect, visible
from stb_app.kit.paint import PHASES, REST, TURN_SECONDS, Painter
from stb_app.kit.scene import Laid, Layer, Picture, Scene

__all__ = ["FootKey", "Layer", "Picture", "PlacedTarget", "PlacedText", "Stage", "TopBar"]

How = Literal["same", "push", "pop", "dialog", "fade"]

_FRAME = 1 / 60
_OUT_SHARE = 0.32
_SLIDE = 36
_BAND = 120
_PAINT_SECONDS = 0.005


@dataclass(frozen=True, slots=True)
class PlacedTarget:
    """A target of the top layer. ``rect`` in canvas pixels; ``scroll`` how far its viewport, which may hide it, is
    scrolled, in them too."""

    key: str
    text: str
    enabled: bool
    rect: Rect
    focused: bool
    scroll: int = 0
    viewport: str | None = None


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
    below: list[tuple[pygame.Surface, Rect]] | None = None


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
        self._laid = Laid()
        self._memory: dict[str, dict[str, str]] = {}
        self._surface = surface
        self.resize(surface)

    # What the subscriber can set

    def resize(self, surface: pygame.Surface) -> None:
        """Draws on another surface from now on."""
        if surface.get_size() != self._surface.get_size():
            forget()
        self._surface = surface
        size = surface.get_size()
        self._scene = Scene(size, self._text_scale, self._margin)
        self._painter = Painter(size, self._scene.scale)
        self._base = pygame.Surface(size, 0, 32)
        self._afresh()

    def set_text_scale(self, text_scale: float) -> None:
        """1.0 to 1.5."""
        if text_scale != self._text_scale:
            self._text_scale = text_scale
            self._scene = Scene(self._surface.get_size(), text_scale, self._margin)
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
        self._lifts = Lifts(self._painter)
        self._lifted: Lift | None = None
        self._phases: dict[Item, int] = {}
        self._change: _Change | None = None
        self._focus_since: float | None = None
        self._dirty: list[Rect] = []
        self._unprepared: list[Spot] = []
        self._untidy = True
        self._restore: list[Rect] = []
        if self._picture is not None:
            self._laid = self._scene.lay_out(self._picture)
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
        followed = only_focus and self._must_follow(top)
        if followed or not only_focus:
            self._replace(self._scene.lay_out(picture))
        self._unprepared = self._worth_preparing()
        self._remember(top)
        after = self._focused()
        same_target = before is not None and after is not None and old is not None
        same_target = same_target and before.key == after.key and old.layers[-1].id == top.id  # type: ignore[union-attr]
        self._untidy = self._untidy or how != "same"
        if how != "same" and old is not None and self._motion:
            self._begin(how, now, how == "dialog" or old.full or picture.full)
        else:
            if self._change is not None and only_focus:
                self._finish_change()
            # Where a list moves under the focus, that is movement enough.
            moves = self._motion and not same_target and not followed and old is not None
            self._focus_since = now if moves else None

    def _replace(self, laid: Laid) -> None:
        """Puts a laid-out picture in the place of the present one."""
        fresh = differences(self._laid.items, laid.items, _scrolled(self._laid, laid))
        if self._change is not None:
            self._take_moment_off_base(self._change)
        self._laid = laid
        self._dirty.extend(fresh)

    def _must_follow(self, top: Layer) -> bool:
        """Whether the target in focus is not wholly in its viewport."""
        spot = self._focused()
        return spot is not None and spot.scroll is not None and not self._in_view(spot)

    def _in_view(self, spot: Spot) -> bool:
        for view in self._laid.viewports:
            if view.key == spot.scroll and not view.own_target:
                margin = round(48 * self._scene.scale)
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

    # What can be asked

    def targets(self) -> tuple[PlacedTarget, ...]:
        """The targets of the top layer in reading order."""
        focused = self._focused()
        offsets = {view.key: view.offset for view in self._laid.viewports}
        return tuple(
            PlacedTarget(
                spot.key,
                spot.text,
                spot.enabled,
                self._scene.canvas(spot.rect),
                focused is not None and spot.key == focused.key,
                round(offsets.get(spot.scroll or "", 0) / self._scene.scale),
                spot.scroll,
            )
            for spot in self._laid.spots
        )

    def texts(self) -> tuple[PlacedText, ...]:
        """Everything that can be read now, in painting order; what a viewport hides is not in it."""
        return tuple(
            PlacedText(words.text, self._scene.canvas(words.rect), words.clipped, words.layer)
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
        return spatial.neighbour(self._laid.spots, spot.key, direction, memory, self._laid.beside)

    def _scroll(self, spot: Spot, direction: str) -> bool:
        view = next((v for v in self._laid.viewports if v.key == spot.key and v.own_target), None)
        if view is None or self._picture is None:
            return False
        step = view.rect[3] * 3 // 5
        offset = view.offset + (step if direction == "down" else -step)
        offset = max(0, min(offset, view.extent - view.rect[3]))
        if offset == view.offset:
            return False
        self._scene.offsets[self._picture.layers[-1].id][view.key] = offset
        laid = self._scene.lay_out(self._picture)
        self._replace(laid)
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
            self._use_idle_frame()
        return drawn

    def _use_idle_frame(self) -> None:
        """Makes the focused picture of one more target; when there are all, clears up after a change of page."""
        while self._unprepared:
            spot = self._unprepared.pop()
            if spot.enabled and self._lifts.prepare(spot, self._only_framed(spot)):
                return
        if self._untidy:
            self._untidy = False
            heap.give_back()

    def next_wake(self, now: float) -> float | None:
        """Seconds until ``frame`` has something to do; None: only after ``show``."""
        if self._picture is None:
            return None
        if self._change is not None:
            return _FRAME
        if self._dirty or self._restore:
            return 0.0
        if self._focus_since is not None:
            return _FRAME
        if self._unprepared or self._untidy:
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

    def _paint_dirty(self, seconds: float | None = None) -> list[Rect]:
        """Paints what differs into the base, all of it or as much as ``seconds`` allow; returns what was painted."""
        if not self._dirty:
            return []
        whole = (0, 0, *self._surface.get_size())
        areas = merged(area for rect in self._dirty if (area := intersect(rect, whole)))
        if seconds is not None:
            areas = [band for area in areas for band in bands(area, self._scene.px(_BAND))]
        end = self._timer() + (seconds or 0)
        for number, area in enumerate(areas):
            self._painter.region(self._base, area, self._laid.items)
            if seconds is not None and self._timer() > end and number + 1 < len(areas):
                self._dirty = list(areas[number + 1 :])
                return areas[: number + 1]
        self._dirty = []
        return areas

    def _lift(self, now: float) -> Lift | None:
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
        return self._lifts.get(spot, self._only_framed(spot), step)

    def _only_framed(self, spot: Spot) -> bool:
        """A viewport that is itself the target, and whatever may not be drawn over."""
        alone = any(view.key == spot.key and view.own_target for view in self._laid.viewports)
        return alone or focusing.keeps_size(spot)

    def _worth_preparing(self) -> list[Spot]:
        """Targets of the top layer, those next to the focus last, which is where taking begins; as many as can be kept."""
        spot = self._focused()
        if spot is None:
            return []
        x, y = spot.rect[:2]
        near = sorted(self._laid.spots, key=lambda s: abs(s.rect[0] - x) + abs(s.rect[1] - y))
        chosen: list[Spot] = []
        room = focusing.KEPT_BYTES
        for candidate in near:
            room -= focusing.bytes_of(candidate, self._scene.scale)
            if room < 0:
                break
            chosen.append(candidate)
        return chosen[::-1]

    def _phase(self, item: Item, now: float) -> int:
        assert isinstance(item.what, Live)
        kind = item.what.what
        if not self._motion:
            return REST[kind]
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
        areas = closed(areas, [rect for rect in over if rect is not None], whole)
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

    def _begin(self, how: How, now: float, whole: bool) -> None:
        if self._change is not None:
            self._finish_change()
        width, height = self._surface.get_size()
        top = self._scene.origin[1] + self._scene.px(theme.BODY_TOP - 26)
        foot = self._scene.origin[1] + self._scene.px(theme.BODY_BOTTOM + 20)
        area = (0, 0, width, height) if whole else (0, top, width, foot - top)
        seconds = theme.DIALOG_SECONDS if how == "dialog" else theme.PAGE_SECONDS
        self._focus_since = None
        self._change = _Change(how, now, area, seconds)

    def _frame_of_change(self, now: float) -> list[pygame.Rect]:
        change = self._change
        assert change is not None
        out = change.seconds * _OUT_SHARE if change.how != "dialog" else 0.0
        # A frame shows the end of its time, so that the first one already differs.
        elapsed = now - change.since + _FRAME
        if change.how == "dialog" or elapsed > 1.5 * _FRAME:  # the first frame had the layout to do
            self._paint_dirty(_PAINT_SECONDS if elapsed < change.seconds * 0.5 else None)
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
        if change.below is None:
            self._put_moment_into_base(change, now)
            change.shown = 0.0
        wanted = 1 - (1 - part) ** 2
        if change.how == "dialog":
            share = 1 - (1 - wanted) / max(0.001, 1 - change.shown)
            change.shown = wanted
            self._blend(self._base, change.area, share, 0)
        else:
            slide = {"push": _SLIDE, "pop": -_SLIDE}.get(change.how, 0)
            self._surface.blit(self._painter.ground, change.area[:2], change.area)
            self._blend(self._base, change.area, wanted, round(self._scene.px(slide) * (1 - wanted)))
        rects = [pygame.Rect(change.area)]
        whole = (0, 0, *self._surface.get_size())
        if change.area != whole:
            _, y, w, h = change.area
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

    def _put_moment_into_base(self, change: _Change, now: float) -> None:
        """Lays focus and moving parts over the base for as long as the page comes in, and keeps what was below them."""
        whole = (0, 0, *self._surface.get_size())
        lifted = self._lift(now)
        over = [visible(item) for item in self._laid.live] + ([lifted.rect] if lifted else [])
        areas = [area for rect in over if rect and (area := intersect(rect, whole))]
        change.below = [(self._base.subsurface(area).copy(), area) for area in areas]
        for item in self._laid.live:
            self._painter.live(self._base, item, self._phase(item, now))
        if lifted is not None:
            self._base.blit(lifted.picture, lifted.at)

    def _take_moment_off_base(self, change: _Change) -> None:
        for below, area in reversed(change.below or []):
            self._base.blit(below, area[:2])
        change.below = None

    def _finish_change(self) -> None:
        change = self._change
        assert change is not None
        self._take_moment_off_base(change)
        self._change = None
        self._lifted = None
        self._phases = {}
        self._restore = [(0, 0, *self._surface.get_size())]


def _without_focus(picture: Picture) -> Picture:
    return replace(picture, layers=tuple(replace(layer, focus=None) for layer in picture.layers))


def _scrolled(old: Laid, new: Laid) -> list[Rect]:
    """The areas of viewports of which more or less is above their edge than before."""
    before = {(view.key, view.area): view.offset for view in old.viewports}
    return [
        view.area for view in new.viewports if before.get((view.key, view.area), view.offset) != view.offset
    ]


def forget() -> None:
    """Drops every kept picture of letters, drawings and shapes: those of another size are of no more use."""
    fonts.forget()
    icons.forget()
    shapes.forget()
