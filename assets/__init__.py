"""Finds what the television brings along: fonts, sounds, key maps, translations.

Fonts, sounds and compiled translations are made at set-up (`make setup`), not kept in the repository:

    fonts/NotoSansSC-Regular.ttf, fonts/NotoSansSC-Bold.ttf     GB 2312 and Latin, tabular figures (OFL)
    sounds/key.wav, card.wav, paid.wav, error.wav               mono, 16 bit, 22.05 kHz
    keymaps/NAME.toml                                           device codes to Linux KEY_ names
    locale/LANGUAGE/LC_MESSAGES/stb_pay.mo                      gettext catalogues
"""

from pathlib import Path

_ROOT = Path(__file__).resolve().parent


class AssetMissing(FileNotFoundError):
    """A file that set-up should have made, or that was never there; the message says what to do."""

    def __init__(self, wanted: Path) -> None:
        super().__init__(f"{wanted} is missing: run `make setup`, which makes it")
        self.wanted = wanted


def path(*parts: str) -> Path:
    """Path of a file or folder of this package, in a source tree and in an installation alike.

    Parameters: `parts`, the path below `assets/`, e.g. `path("fonts", "NotoSansSC-Bold.ttf")`.
    Returns the absolute path of something that exists.
    Raises `AssetMissing` when it does not exist.
    """
    wanted = _ROOT.joinpath(*parts)
    if not wanted.exists():
        raise AssetMissing(wanted)
    return wanted
