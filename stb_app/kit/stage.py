"""The stage: lays pages out, draws what changed, moves the focus, and can say what is to be seen.

CONTRACT (what the shell calls); the implementation replaces this text and may live in several modules.

@dataclass(frozen=True, slots=True)
class TopBar: place: str; crumbs: tuple[str, ...]; test: str | None (the TEST mark's words); who: str; clock: str
@dataclass(frozen=True, slots=True)
class FootKey: cap: str ("OK", "arrows-lr", "arrows-ud", "arrows", "返回" ...); label: str
@dataclass(frozen=True, slots=True)
class Layer: id: str; body: Node; focus: str | None; modal: bool; busy: bool = False
@dataclass(frozen=True, slots=True)
class Picture: top: TopBar; layers: tuple[Layer, ...] (the page, then dialogs above it); foot: tuple[FootKey, ...];
               notice: str | None (a line above the footer: no connection ...), notice_tone

class Stage:
    Stage(surface: pygame.Surface, *, text_scale: float = 1.0, motion: bool = True, margin: float = 0.0 (calibration, 0-0.10))
    resize(surface) / set_text_scale / set_motion / set_margin
    show(picture: Picture, now: float, how: Literal["same","push","pop","dialog","fade"] = "same") -> None
        lays out; equal parts are kept; the focus of the top layer is where Layer.focus says
    neighbour(direction: Literal["up","down","left","right"]) -> str | None   enabled target in that direction from the focus, in the top layer
    targets() -> tuple[PlacedTarget(key, text, enabled, rect (canvas px x,y,w,h), focused, scroll position), ...] of the top layer, in reading order
    texts() -> tuple[PlacedText(text, rect, clipped: bool, layer), ...]     everything that can be read now
    frame(now: float) -> list[pygame.Rect]      draws what is due on the surface, returns what changed; [] when nothing did
    next_wake(now: float) -> float | None       seconds until frame() has something to do (animations, spinner); None: only after show()
    settle() / animations can be finished at once (for tests, frozen clock, screenshots)
    warm(pictures)    draws pages in advance into the caches
"""
