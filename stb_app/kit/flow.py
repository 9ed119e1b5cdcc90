"""How containers share their room: rows, columns, grids, alternatives, and what only passes it on."""

from __future__ import annotations

from dataclasses import replace

from stb_app.kit import theme
from stb_app.kit.items import Box, Rect
from stb_app.kit.layout import Context, Layouter, register
from stb_app.kit.nodes import Column, Divider, Fit, Full, Grid, Group, Grow, Node, Row, Space, Target


def _row_width(lay: Layouter, node: Row) -> tuple[int, int]:
    gaps = lay.px(node.gap) * max(0, len(node.children) - 1)
    pairs = [lay.widths(child) for child in node.children]
    shares = [grow_share(child) for child in node.children]
    fixed = sum(p[0] for p, share in zip(pairs, shares, strict=True) if not share)
    per_share = max((-(-p[0] // share) for p, share in zip(pairs, shares, strict=True) if share), default=0)
    return fixed + per_share * sum(shares) + gaps, sum(p[1] for p in pairs) + gaps


def row_widths(lay: Layouter, node: Row, width: int) -> list[int]:
    """How a row shares its width among its children."""
    room = width - lay.px(node.gap) * max(0, len(node.children) - 1)
    shares = [grow_share(child) for child in node.children]
    least = [lay.least(child) for child in node.children]
    natural = [lay.natural(child) for child in node.children]
    fixed = sum(n for n, share in zip(natural, shares, strict=True) if not share)
    least_grown = sum(m for m, share in zip(least, shares, strict=True) if share)
    if fixed + least_grown <= room:
        left = room - fixed
        widths = [n if not share else 0 for n, share in zip(natural, shares, strict=True)]
        return _share_out(widths, shares, least, left)
    slack = sum(n - m for n, m, share in zip(natural, least, shares, strict=True) if not share)
    over = fixed + least_grown - room
    widths = []
    for n, m, share in zip(natural, least, shares, strict=True):
        widths.append(m if share else n - (min(n - m, -(-over * (n - m) // slack)) if slack else 0))
    return widths


def _row_height(lay: Layouter, node: Row, width: int) -> tuple[int, int]:
    if node.height is not None:
        return lay.px(node.height), lay.px(node.height)
    widths = row_widths(lay, node, width)
    pairs = [lay.heights(child, w) for child, w in zip(node.children, widths, strict=True)]
    return max((p[0] for p in pairs), default=0), max((p[1] for p in pairs), default=0)


def _place_row(lay: Layouter, node: Row, rect: Rect, context: Context) -> None:
    x, y, width, height = rect
    widths = row_widths(lay, node, width)
    gap = lay.px(node.gap)
    x, gap = _justify(node.justify, x, width, widths, gap)
    even = node.align == "stretch" or all(isinstance(child, Target) for child in node.children)
    for child, own in zip(node.children, widths, strict=True):
        tall = height if even else min(lay.height(child, own), height)
        top = y + (0 if node.align in ("start", "stretch") else height - tall)
        if node.align == "center":
            top = y + (height - tall) // 2
        lay.place(child, (x, top, own, tall), context)
        x += own + gap


def _column_width(lay: Layouter, node: Column) -> tuple[int, int]:
    if node.width is not None:
        return (lay.px(node.width),) * 2
    pairs = [lay.widths(child) for child in node.children]
    return max((p[0] for p in pairs), default=0), max((p[1] for p in pairs), default=0)


def _column_height(lay: Layouter, node: Column, width: int) -> tuple[int, int]:
    width = min(width, lay.px(node.width)) if node.width is not None else width
    gaps = lay.px(node.gap) * max(0, len(node.children) - 1)
    pairs = [lay.heights(child, _child_width(lay, node, child, width)) for child in node.children]
    return sum(p[0] for p in pairs) + gaps, sum(p[1] for p in pairs) + gaps


def _child_width(lay: Layouter, node: Column, child: Node, width: int) -> int:
    if node.align == "stretch":
        fixed = _fixed_width(child)
        return width if fixed is None else min(width, lay.px(fixed))
    return min(width, lay.natural(child))


def column_heights(lay: Layouter, node: Column, width: int, height: int) -> list[int]:
    """How a column shares its height among its children."""
    room = height - lay.px(node.gap) * max(0, len(node.children) - 1)
    pairs = [lay.heights(child, _child_width(lay, node, child, width)) for child in node.children]
    natural = [p[0] for p in pairs]
    over = sum(natural) - room
    if over > 0:
        least = [p[1] for p in pairs]
        slack = sum(n - m for n, m in zip(natural, least, strict=True))
        if not slack:
            return natural
        return [n - min(n - m, -(-over * (n - m) // slack)) for n, m in zip(natural, least, strict=True)]
    shares = [grow_share(child) for child in node.children]
    heights = [0 if share else n for n, share in zip(natural, shares, strict=True)]
    return _share_out(heights, shares, natural, room - sum(heights))


def _place_column(lay: Layouter, node: Column, rect: Rect, context: Context) -> None:
    x, y, width, height = rect
    if node.width is not None:
        width = min(width, lay.px(node.width))
    heights = column_heights(lay, node, width, height)
    gap = lay.px(node.gap)
    y, gap = _justify(node.justify, y, height, heights, gap)
    for child, tall in zip(node.children, heights, strict=True):
        own = _child_width(lay, node, child, width)
        left = x
        if node.align == "center":
            left = x + (width - own) // 2
        elif node.align == "end":
            left = x + width - own
        lay.place(child, (left, y, own, tall), context)
        y += tall + gap


def _grid_width(lay: Layouter, node: Grid) -> tuple[int, int]:
    gaps = lay.px(node.gap) * (node.columns - 1)
    pairs = [lay.widths(child) for child in node.children]
    most, least = max((p[0] for p in pairs), default=0), max((p[1] for p in pairs), default=0)
    return most * node.columns + gaps, least * node.columns + gaps


def _cell_width(lay: Layouter, node: Grid, width: int) -> int:
    return (width - lay.px(node.gap) * (node.columns - 1)) // node.columns


def _grid_rows(lay: Layouter, node: Grid, width: int) -> list[tuple[tuple[Node, ...], int]]:
    cell = _cell_width(lay, node, width)
    rows = [node.children[i : i + node.columns] for i in range(0, len(node.children), node.columns)]
    return [(row, max(lay.height(child, cell) for child in row)) for row in rows]


def _grid_height(lay: Layouter, node: Grid, width: int) -> tuple[int, int]:
    rows = _grid_rows(lay, node, width)
    height = sum(row[1] for row in rows) + lay.px(node.gap) * max(0, len(rows) - 1)
    return height, height


def _place_grid(lay: Layouter, node: Grid, rect: Rect, context: Context) -> None:
    x, y, width, _ = rect
    cell, gap = _cell_width(lay, node, width), lay.px(node.gap)
    for row, tall in _grid_rows(lay, node, width):
        for column, child in enumerate(row):
            lay.place(child, (x + column * (cell + gap), y, cell, tall), context)
        y += tall + gap


def choose(lay: Layouter, node: Fit, width: int, height: int | None = None) -> Node:
    """The option that fits."""
    for option in node.options[:-1]:
        if lay.least(option) <= width and (height is None or lay.least_height(option, width) <= height):
            return option
    return node.options[-1]


def _fit_width(lay: Layouter, node: Fit) -> tuple[int, int]:
    return lay.natural(node.options[0]), min(lay.least(option) for option in node.options)


def _fit_height(lay: Layouter, node: Fit, width: int) -> tuple[int, int]:
    fitting = [option for option in node.options if lay.least(option) <= width] or [node.options[-1]]
    return lay.height(fitting[0], width), min(lay.least_height(option, width) for option in fitting)


def grow_share(node: Node) -> int:
    """Its share of what is left in its row or column; 0 if it keeps its own size."""
    if isinstance(node, Grow):
        return node.share
    return int(getattr(node, "grow", 0))


def _fixed_width(node: Node) -> int | None:
    """The width a node insists on, in canvas pixels."""
    if isinstance(node, Group | Grow):
        return _fixed_width(node.child)
    return getattr(node, "width", None)


def _share_out(fixed: list[int], shares: list[int], least: list[int], left: int) -> list[int]:
    """Gives ``left`` to those with a share, none less than its least."""
    sizes = list(fixed)
    open_ = [i for i, share in enumerate(shares) if share]
    while open_:
        total = sum(shares[i] for i in open_)
        short = [i for i in open_ if left * shares[i] // total < least[i]]
        if not short:
            for index, i in enumerate(open_):
                part = left * shares[i] // total if index < len(open_) - 1 else left
                sizes[i] = part
                left -= part
                total -= shares[i]
            break
        for i in short:
            sizes[i] = least[i]
            left -= least[i]
            open_.remove(i)
    return sizes


def _justify(how: str, start: int, room: int, sizes: list[int], gap: int) -> tuple[int, int]:
    left = room - sum(sizes) - gap * max(0, len(sizes) - 1)
    if left <= 0 or how == "start":
        return start, gap
    if how == "center":
        return start + left // 2, gap
    if how == "end":
        return start + left, gap
    return (start, gap + left // (len(sizes) - 1)) if len(sizes) > 1 else (start, gap)


def _inner_width(layouter: Layouter, node: Group | Grow | Full) -> tuple[int, int]:
    return layouter.natural(node.child), layouter.least(node.child)


def _inner_height(layouter: Layouter, node: Group | Grow | Full, width: int) -> tuple[int, int]:
    return layouter.height(node.child, width), layouter.least_height(node.child, width)


def _place_group(layouter: Layouter, node: Group, rect: Rect, context: Context) -> None:
    if node.beside is not None:
        layouter.page.beside[node.key] = node.beside
    layouter.place(node.child, rect, replace(context, groups=(*context.groups, node.key)))


def _space_size(layouter: Layouter, node: Space) -> tuple[int, int]:
    return (layouter.px(node.size),) * 2


def _line_height(layouter: Layouter) -> int:
    return max(1, layouter.px(2))


register(Row, _row_width, _row_height, _place_row)
register(Column, _column_width, _column_height, _place_column)
register(Grid, _grid_width, _grid_height, _place_grid)
register(
    Fit,
    _fit_width,
    _fit_height,
    lambda lay, node, rect, context: lay.place(choose(lay, node, rect[2], rect[3]), rect, context),
)
register(Group, _inner_width, _inner_height, _place_group)
register(
    Grow, _inner_width, _inner_height, lambda lay, node, rect, context: lay.place(node.child, rect, context)
)
register(
    Full, _inner_width, _inner_height, lambda lay, node, rect, context: lay.place(node.child, rect, context)
)
register(
    Space, _space_size, lambda lay, node, _: _space_size(lay, node), lambda lay, node, rect, context: None
)
register(
    Divider,
    lambda lay, _: (0, 0),
    lambda lay, _, __: (_line_height(lay),) * 2,
    lambda lay, _, rect, context: lay.emit(rect, Box((*theme.LINE, 255), 0)),
)
