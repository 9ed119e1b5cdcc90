"""A scene: pages, dialogs and what stands around them, laid out on a surface of some size."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import stb_app.kit.boxes
import stb_app.kit.flow
import stb_app.kit.parts
import stb_app.kit.texts  # noqa: F401  (these say how the nodes are measured)
from stb_app.kit import chrome, theme
from stb_app.kit.chrome import FootKey, Tone, TopBar
from stb_app.kit.items import Dim, Item, Live, Page, Rect, Shadow, Spot, Viewport, Words
from stb_app.kit.layout import Context, Layouter
from stb_app.kit.nodes import Fit, Full, Node, Panel, Scroll

_DIALOG_MOST, _DIALOG_LEAST = 1240, 720
_KEPT_LAYOUTS = 4
_BELOW_BODY = 20
"""So much nearer to the footer than a page may notices and dialogs come."""
_ABOVE_NOTICE = 36
"""So much room is above a notice that a button in focus, which is larger and has its ring, leaves 24 free."""


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

    @property
    def full(self) -> bool:
        """Whether its page has the whole canvas."""
        return isinstance(self.layers[0].body, Full)


@dataclass(slots=True)
class Laid:
    """A picture laid out."""

    items: list[Item] = field(default_factory=list)
    words: list[Words] = field(default_factory=list)
    spots: list[Spot] = field(default_factory=list)
    viewports: list[Viewport] = field(default_factory=list)
    beside: dict[str, str] = field(default_factory=dict)
    live: list[Item] = field(default_factory=list)


class Scene:
    """Lays pictures out on ``size`` device pixels; the canvas is scaled to them and centred, less ``margin`` on each side.

    ``offsets``: how far the viewports of each layer are scrolled, by layer and key; laying out brings it up to date.
    """

    def __init__(self, size: tuple[int, int], text_scale: float, margin: float) -> None:
        self.size = size
        self.text_scale = text_scale
        self.scale = min(size[0] / theme.CANVAS_W, size[1] / theme.CANVAS_H) * (1 - 2 * margin)
        self.origin = (
            round((size[0] - theme.CANVAS_W * self.scale) / 2),
            round((size[1] - theme.CANVAS_H * self.scale) / 2),
        )
        self.offsets: dict[str, dict[str, int]] = {}
        self._layouters: dict[str, tuple[Layouter, Node]] = {}

    def px(self, length: float) -> int:
        """A length of the canvas in device pixels."""
        return round(length * self.scale)

    def _area(self, x: float, y: float, width: float, height: float) -> Rect:
        return (
            self.origin[0] + self.px(x),
            self.origin[1] + self.px(y),
            self.px(width),
            self.px(height),
        )

    def _layouter(self) -> Layouter:
        return Layouter(self.scale, self.text_scale)

    def _layouter_of(self, layer: Layer) -> tuple[Layouter, Node]:
        """The layouter that has measured this layer's body already, or a new one, and the body it measured."""
        kept = self._layouters.pop(layer.id, None)
        if kept is None or kept[1] != layer.body:
            kept = self._layouter(), layer.body
        self._layouters[layer.id] = kept
        if len(self._layouters) > _KEPT_LAYOUTS:
            del self._layouters[next(iter(self._layouters))]
        kept[0].begin(layer.focus, self.offsets.get(layer.id, {}))
        return kept

    def lay_out(self, picture: Picture) -> Laid:
        """Everything of a picture at its place, in painting order."""
        laid = Laid()
        safe_w = theme.CANVAS_W - 2 * theme.SAFE_X
        bars, bar = self._layouter(), self._area(theme.SAFE_X, theme.TOP_Y - 40, safe_w, 80)
        room = bar if picture.full else chrome.top_bar(bars, picture.top, bar)
        laid.items += bars.page.items
        laid.words += bars.page.words
        bottom = theme.BODY_BOTTOM
        below = self._layouter()
        if picture.notice and not picture.full:
            area = self._area(theme.SAFE_X, 0, safe_w, 0)
            tall = chrome.notice_height(below, picture.notice, area[2])
            end = self.origin[1] + self.px(theme.BODY_BOTTOM + _BELOW_BODY)
            chrome.notice(below, picture.notice, picture.notice_tone, (area[0], end - tall, area[2], tall))
            bottom -= round(tall / self.scale) + _ABOVE_NOTICE - _BELOW_BODY
        for number, layer in enumerate(picture.layers):
            page = self._layer(layer, number, bottom)
            if number:
                laid.items = [_stilled(item) for item in laid.items]
                laid.items.append(Item((0, 0, *self.size), Dim()))
            laid.items += page.items
            laid.words += page.words
            laid.spots, laid.viewports, laid.beside = page.spots, page.viewports, page.beside
            laid.live = [item for item in page.items if isinstance(item.what, Live)]
        body = picture.layers[0].body
        left = body.foot if isinstance(body, Full) else theme.SAFE_X
        lines = 2 if picture.full and len(picture.layers) == 1 else 1
        wide = theme.CANVAS_W - theme.SAFE_X - left
        areas = [self._area(left, theme.FOOT_Y - 30 - 60 * line, wide, 60) for line in reversed(range(lines))]
        chrome.footer(below, picture.foot, areas)
        if (
            picture.top.test
        ):  # above the veil of a dialog, which leaves it its place: it is to be seen at every moment
            chrome.test_mark(below, picture.top.test, room)
        laid.items += below.page.items
        laid.words += below.page.words
        laid.live += [item for item in below.page.items if isinstance(item.what, Live)]
        return laid

    def _layer(self, layer: Layer, number: int, bottom: float) -> Page:
        layouter, body = self._layouter_of(layer)
        safe_w = theme.CANVAS_W - 2 * theme.SAFE_X
        if isinstance(layer.body, Full):
            area = self._area(0, 0, theme.CANVAS_W, theme.CANVAS_H)
        else:
            area = self._area(theme.SAFE_X, theme.BODY_TOP, safe_w, bottom - theme.BODY_TOP)
        if not layer.modal:
            if bottom < theme.BODY_BOTTOM and layouter.least_height(body, area[2]) > area[3]:
                # A notice lies over nothing: a page that cannot be so low scrolls for as long as it is there.
                options = body.options if isinstance(body, Fit) else (body,)
                least = min(options, key=lambda option: layouter.height(option, area[2]))
                body = layouter.made("squeezed", lambda: Scroll("squeezed", least))
            layouter.place(body, area, Context(layer.id, area))
        else:
            if not isinstance(body, Panel):
                inner = body
                body = layouter.made("dialog", lambda: Panel(inner, pad=56, radius=theme.R_HERO, border=True))
            upper = theme.TOP_Y + 40
            # Panels have room of their own around what is in them, so their borders may come nearer to the footer.
            high = self._area(theme.SAFE_X, upper, safe_w, theme.BODY_BOTTOM + _BELOW_BODY - upper)
            most = self.px(_DIALOG_MOST * min(self.text_scale, 1.25))
            width = max(self.px(_DIALOG_LEAST), min(layouter.natural(body), most))
            if body.width is not None:
                width = self.px(body.width)
            width = min(width, high[2])
            height = min(layouter.height(body, width), high[3])
            left, top = high[0] + (high[2] - width) // 2, high[1] + (high[3] - height) // 2
            spread, drop = self.px(48), self.px(14)
            around = (left - spread, top - spread + drop, width + 2 * spread, height + 2 * spread)
            layouter.emit(around, Shadow(self.px(body.radius), spread, 150))
            layouter.place(body, (left, top, width, height), Context(layer.id, high))
        self.offsets[layer.id] = layouter.offsets
        return layouter.page

    def canvas(self, rect: Rect) -> Rect:
        """A rectangle of device pixels in canvas pixels."""
        x, y, w, h = rect
        left, top = (x - self.origin[0]) / self.scale, (y - self.origin[1]) / self.scale
        return (round(left), round(top), round(w / self.scale), round(h / self.scale))


def _stilled(item: Item) -> Item:
    """What moves comes to rest when a dialog lies over it."""
    return replace(item, what=replace(item.what, still=True)) if isinstance(item.what, Live) else item
