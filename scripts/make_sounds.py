"""Makes the television's four sounds: soft struck tones, the same bytes on every machine.

Each note is a sine with two quiet overtones under an envelope that rises in a few milliseconds and dies away,
as a marimba's does; key and error stay low and short, so that they please in a living room at night.
"""

import math
import sys
import wave
from dataclasses import dataclass
from pathlib import Path

RATE = 22_050
FOLDER = Path(__file__).resolve().parent.parent / "assets" / "sounds"

# Share of the fundamental, the octave and the twelfth in a note.
_OVERTONES = ((1, 1.0), (2, 0.28), (3, 0.08))
_RISE_S = 0.004


@dataclass(frozen=True, slots=True)
class Note:
    """One struck tone: pitch in hertz, start and time constant of its decay in seconds, level 0 to 1."""

    hertz: float
    start_s: float
    decay_s: float
    level: float


# Length in seconds, notes. Error falls by a third; paid climbs the chord of C major.
SOUNDS: dict[str, tuple[float, tuple[Note, ...]]] = {
    "key": (0.09, (Note(523.25, 0.0, 0.018, 0.22),)),
    "card": (0.45, (Note(587.33, 0.0, 0.07, 0.3), Note(880.0, 0.1, 0.11, 0.3))),
    "paid": (
        0.88,
        (
            Note(523.25, 0.0, 0.12, 0.28),
            Note(659.26, 0.11, 0.13, 0.28),
            Note(783.99, 0.22, 0.15, 0.28),
            Note(1046.5, 0.33, 0.2, 0.3),
        ),
    ),
    "error": (0.5, (Note(311.13, 0.0, 0.08, 0.34), Note(246.94, 0.16, 0.11, 0.34))),
}


def samples(length_s: float, notes: tuple[Note, ...]) -> list[float]:
    """`notes` mixed into `length_s` seconds at `RATE`, each sample between -1 and 1, ending in silence."""
    count = round(length_s * RATE)
    fade = round(0.03 * RATE)
    mixed = [0.0] * count
    for note in notes:
        first = round(note.start_s * RATE)
        for index in range(first, count):
            t = (index - first) / RATE
            envelope = min(t / _RISE_S, 1.0) * math.exp(-t / note.decay_s)
            tone = sum(share * math.sin(math.tau * note.hertz * k * t) for k, share in _OVERTONES)
            mixed[index] += note.level * envelope * tone
    for index in range(count - fade, count):
        mixed[index] *= (count - 1 - index) / fade
    return mixed


def write(target: Path, mixed: list[float]) -> None:
    """Writes `mixed` to `target` as mono 16-bit PCM."""
    pcm = b"".join(round(sample * 32_767).to_bytes(2, "little", signed=True) for sample in mixed)
    partial = target.with_suffix(".partial")
    with wave.open(str(partial), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(RATE)
        sound.writeframes(pcm)
    partial.replace(target)


def main() -> int:
    """Makes the sounds that are missing or older than this recipe. Returns the process's exit code."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    recipe_time = Path(__file__).stat().st_mtime
    for name, (length_s, notes) in SOUNDS.items():
        target = FOLDER / f"{name}.wav"
        if not target.exists() or target.stat().st_mtime < recipe_time:
            write(target, samples(length_s, notes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
