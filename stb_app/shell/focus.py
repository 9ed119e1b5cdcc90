"""Where the focus may be on a composed page, and where it goes when its target has gone."""

from __future__ import annotations

from collections.abc import Iterator

from stb_app.kit.nodes import Fit, Node, Scroll, Target


def targets(node: Node) -> Iterator[Target]:
    """The targets of a page in the order they were composed.

    Of a Fit's options, which all offer the same ones, the first counts.
    """
    if isinstance(node, Target):
        yield node
        return
    if isinstance(node, Fit):
        yield from targets(node.options[0])
        return
    child = getattr(node, "child", None)
    if child is not None:
        yield from targets(child)
    for inner in getattr(node, "children", ()):
        yield from targets(inner)


def texts(node: Node) -> Iterator[str]:
    """The keys of a page's scrolling texts: each is a target when it is longer than its room, which the layout finds out."""
    if isinstance(node, Scroll) and next(targets(node), None) is None:
        yield node.key
        return
    parts = node.options[:1] if isinstance(node, Fit) else getattr(node, "children", ())
    child = getattr(node, "child", None)
    for inner in (*parts, *(() if child is None else (child,))):
        yield from texts(inner)


def place(
    wanted: str | None, last_index: int, default: str | None, offered: tuple[tuple[str, bool], ...]
) -> str | None:
    """The target that gets the focus.

    Args:
        wanted: key that had it last, None if none had.
        last_index: its place in the order then.
        default: the screen's own choice.
        offered: (key, enabled) of every target there is now, in order.

    Returns:
        ``wanted`` while it is there and enabled; else the nearest enabled one in the order; for a page that
        never had a focus its default, else the first enabled one. None when nothing is enabled.

    >>> place("b", 1, None, (("a", True), ("b", True)))
    'b'
    >>> place("gone", 2, "a", (("a", True), ("b", True), ("c", False)))
    'b'
    >>> place(None, 0, "b", (("a", True), ("b", True)))
    'b'
    """
    enabled = [key for key, can in offered if can]
    if wanted in enabled:
        return wanted
    if wanted is None and default in enabled:
        return default
    if not enabled:
        return None
    if wanted is None:
        return enabled[0]
    index = {key: number for number, (key, _) in enumerate(offered)}
    return min(enabled, key=lambda key: (abs(index[key] - last_index), index[key]))
