"""Makes the television's two fonts: GB 2312 and Latin, regular and bold, cut from the variable Noto Sans SC.

The variable font (17 MB) comes in the PyPI package `justmytype-intl-cjk` under the SIL Open Font License,
whose text is copied beside the result. Nothing is done when the fonts of this recipe are there already.
"""

import hashlib
import json
import shutil
import sys
from importlib.metadata import version
from importlib.resources import files
from io import BytesIO
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont
from fontTools.varLib import instancer

PACK = "justmytype-intl-cjk"
WEIGHTS = {"Regular": 400, "Bold": 700}
FOLDER = Path(__file__).resolve().parent.parent / "assets" / "fonts"

# Whole blocks; whatever of them the font lacks is left out.
_BLOCKS = (
    (0x0020, 0x007E),  # Basic Latin
    (0x00A0, 0x017F),  # Latin-1, Latin Extended-A
    (0x2000, 0x206F),  # general punctuation: dashes, quotes, bullet, ellipsis, reference mark
    (0x20A0, 0x20CF),  # currency
    (0x2100, 0x21FF),  # letter-like, number forms, arrows
    (0x2212, 0x2212),  # minus
    (0x2300, 0x23FF),  # technical: return, delete
    (0x2460, 0x24FF),  # enclosed figures
    (0x25A0, 0x27BF),  # triangles, stars, check mark, warning sign
    (0x3000, 0x303F),  # CJK punctuation
    (0xFF00, 0xFFEF),  # full-width forms
)
# What a line of text needs; vertical setting and alternates that nobody can ask for are dropped.
_FEATURES = ["kern", "mark", "ccmp", "locl", "liga"]


class FigureWidths(Exception):
    """The ten figures are not equally wide: amounts and countdowns would jump."""


def gb2312() -> set[int]:
    """Code points of GB 2312-80, which is every pair of bytes that the codec can read."""
    pairs = (bytes((row, cell)) for row in range(0xA1, 0xF8) for cell in range(0xA1, 0xFF))
    return {ord(text) for text in (pair.decode("gb2312", "ignore") for pair in pairs) if text}


def wanted() -> set[int]:
    """Code points that the fonts should have, where Noto Sans SC has them."""
    return gb2312().union(*(range(first, last + 1) for first, last in _BLOCKS))


def source() -> Path:
    """The folder with the variable Noto Sans SC and its licence."""
    return Path(str(files("justmytype_intl_cjk"))) / "fonts" / "ofl" / "notosanssc"


def cut(variable: Path, code_points: set[int]) -> bytes:
    """The variable font with only `code_points` left in it, as a font file's bytes."""
    options = subset.Options()
    options.layout_features = _FEATURES
    options.drop_tables += ["vhea", "vmtx", "VORG", "BASE"]
    options.notdef_outline = True
    options.hinting = False
    font = TTFont(variable)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=code_points)
    subsetter.subset(font)
    target = BytesIO()
    font.save(target)
    return target.getvalue()


def make(variable: bytes, style: str, target: Path) -> None:
    """Writes one weight of `variable` (a font file's bytes) to `target`.

    Raises `FigureWidths` when the figures 0-9 are not equally wide.
    """
    font = TTFont(BytesIO(variable), recalcTimestamp=False)
    instancer.instantiateVariableFont(
        font, {"wght": WEIGHTS[style]}, inplace=True, overlap=instancer.OverlapMode.KEEP_AND_SET_FLAGS
    )
    cmap = font.getBestCmap()
    widths = {font["hmtx"][cmap[ord(figure)]][0] for figure in "0123456789"}
    if len(widths) != 1:
        raise FigureWidths(f"{target.name}: the figures 0-9 are {sorted(widths)} units wide")
    names = font["name"]
    for name_id, text in ((2, style), (4, f"Noto Sans SC {style}"), (6, f"NotoSansSC-{style}")):
        names.setName(text, name_id, 3, 1, 0x409)
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_suffix(".partial")
    font.save(partial)
    partial.replace(target)


def recipe() -> str:
    """Changes whenever the fonts would come out differently."""
    own = hashlib.sha256(Path(__file__).read_bytes()).hexdigest()[:16]
    return f"{PACK} {version(PACK)}, fonttools {version('fonttools')}, {own}"


def main() -> int:
    """Makes what is missing or out of date. Returns the process's exit code."""
    stamp = FOLDER / "made.json"
    targets = {style: FOLDER / f"NotoSansSC-{style}.ttf" for style in WEIGHTS}
    made = json.loads(stamp.read_text()) if stamp.exists() else {}
    if made.get("recipe") == recipe() and all(target.exists() for target in targets.values()):
        return 0
    print(
        "making the fonts of the screens: Noto Sans SC, regular and bold",
        flush=True,
    )
    stamp.unlink(missing_ok=True)
    variable = cut(source() / "NotoSansSC[wght].ttf", wanted())
    for style, target in targets.items():
        make(variable, style, target)
    shutil.copyfile(source() / "OFL.txt", FOLDER / "OFL.txt")
    stamp.write_text(json.dumps({"recipe": recipe()}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
