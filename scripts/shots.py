"""Every page in both languages as a picture: LANGUAGE/SCENE.png in a folder (`make shots`).

shots.py FOLDER [--scene NAME ...] [--text 100 125 150] [--size 1920x1080 ...]

NAME is a scene's name or the beginning of one; other text sizes and picture sizes get folders of their own.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import pygame  # noqa: E402

from tests.screens import scenes, scenes_payment  # noqa: E402

SCENES = (*scenes.SCENES, *scenes_payment.SCENES)


def main(arguments: list[str]) -> int:
    """Draws what is asked for; returns the process's exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scene", nargs="+", default=[])
    parser.add_argument("--text", nargs="+", type=int, default=[100], choices=(100, 125, 150))
    parser.add_argument("--size", nargs="+", default=["1920x1080"])
    wanted = parser.parse_args(arguments)
    chosen = [s for s in SCENES if not wanted.scene or any(s.name.startswith(name) for name in wanted.scene)]
    if not chosen:
        print("no such scene; there are " + ", ".join(s.name for s in SCENES), file=sys.stderr)
        return 1
    count = 0
    for language in ("zh", "en"):
        for text in wanted.text:
            for size in wanted.size:
                width, height = map(int, size.split("x"))
                plain = (text, size) == (100, "1920x1080")
                folder = wanted.folder / (language if plain else f"{language}-{text}-{size}")
                folder.mkdir(parents=True, exist_ok=True)
                for scene in chosen:
                    television = scene.play(language, text, (width, height))
                    pygame.image.save(television.picture(), folder / f"{scene.name}.png")
                    television.close()
                    count += 1
    print(f"{count} pictures in {wanted.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
