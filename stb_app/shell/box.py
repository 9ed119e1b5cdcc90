"""Who this set-top box is:
number, smart card and activation code for enrolling, and the key that it was enrolled with.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cardreader.secret import SecretText

if TYPE_CHECKING:
    from stb_app.tsp.signing import Identity

log = logging.getLogger(__name__)
DEMO = {
    "85312047": ("8310220477550019", "246810"),
    "85312048": ("8310220477550027", "246810"),
    "85312049": ("8310220477550035", "246810"),
    "85312050": ("8310220477550043", "246810"),
    "85312051": ("8310220477550050", "246810"),
}
"""The boxes that the bundled server knows from its first start: smart card number, activation code."""


class BoxUnknown(Exception):
    """Nobody has said how this box is enrolled; the message says where to write it."""


@dataclass(frozen=True, slots=True)
class Papers:
    """What a box is enrolled with."""

    box_number: str
    smart_card_number: str
    activation_code: SecretText


@dataclass(frozen=True, slots=True)
class Enrolment:
    """What is written down of an enrolment.

    Attributes:
        next_key: the key that the box is going over to, when it was interrupted there.
        server_keys: the platform's public keys, in hex, by key id.
    """

    box_number: str
    key_id: str
    enrolled_at: datetime
    server_keys: dict[str, str]
    next_key: str | None = None


class BoxFiles:
    """What the box keeps of its identity, in its data folder.

    ``boxes.json``, written by whoever installs the box: ``{NUMBER: {"smart_card_number", "activation_code"}}``.
    Written here, readable by their owner only: ``enrolment.json``; ``keys/ID.pem``, a private key (Ed25519, PKCS8);
    ``keys/ID.count``, the number up to which its nonces may have been used; ``hotline``, whom to call when the platform
    cannot be asked.
    """

    def __init__(self, folder: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        self._papers = folder / "boxes.json"
        self._enrolment = folder / "enrolment.json"
        self._keys = folder / "keys"
        self._hotline = folder / "hotline"
        self._random = random

    def papers(self, box_number: str) -> Papers:
        """Raises BoxUnknown when they are not there or cannot be read."""
        wanted = f'{self._papers}: {{"{box_number}": {{"smart_card_number": "...", "activation_code": "..."}}}} is needed'
        try:
            written = json.loads(self._papers.read_text("utf-8")) if self._papers.exists() else {}
            if not isinstance(written, dict):
                raise TypeError("an object is needed")
            if box_number not in written and box_number in DEMO:
                card, given = DEMO[box_number]
                return Papers(box_number, card, SecretText(given))
            entry = written[box_number]
            code = SecretText(str(entry["activation_code"]))
            return Papers(box_number, str(entry["smart_card_number"]), code)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BoxUnknown(wanted) from error

    def box_number(self) -> str | None:
        """Whose enrolment is stored; None when there is none that can be read."""
        try:
            number = json.loads(self._enrolment.read_text("utf-8"))["box_number"]
        except (OSError, ValueError, KeyError, TypeError):
            return None
        return number if isinstance(number, str) else None

    def enrolment(self, box_number: str) -> Enrolment | None:
        """The stored enrolment of this box; None when there is none, or only another box's."""
        try:
            stored = json.loads(self._enrolment.read_text("utf-8"))
            if stored["box_number"] != box_number:
                return None
            return Enrolment(
                box_number,
                str(stored["key_id"]),
                datetime.fromisoformat(stored["enrolled_at"]),
                {str(name): bytes.fromhex(key).hex() for name, key in stored["server_keys"].items()},
                stored.get("next_key"),
            )
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.warning("the stored enrolment cannot be read; the box is enrolled again")
            return None

    def identity(self, enrolment: Enrolment, key: str | None = None) -> Identity | None:
        """What the box signs with: the enrolment's key, or another one that is here; None when it cannot be read."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key

        name = key or enrolment.key_id
        try:
            private = load_pem_private_key((self._keys / f"{name}.pem").read_bytes(), None)
        except (OSError, ValueError, TypeError):
            log.warning("the key %s cannot be read", name)
            return None
        if not isinstance(private, Ed25519PrivateKey):
            return None
        server_keys = {name: bytes.fromhex(one) for name, one in enrolment.server_keys.items()}
        return self._identity(enrolment.box_number, private, server_keys)

    def new_identity(self, box_number: str) -> Identity:
        """A new key, on the disk before anybody hears of it. Raises OSError."""
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

        self._keys.mkdir(exist_ok=True, mode=0o700)
        identity = self._identity(box_number, Ed25519PrivateKey.from_private_bytes(self._random(32)), {})
        pem = identity.private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(self._keys / f"{identity.key_id}.pem", pem)
        return identity

    def keep(self, enrolment: Enrolment) -> None:
        """Stores it whole or not at all, and forgets the keys that it does not name. Raises OSError."""
        _write(self._enrolment, json.dumps(asdict(enrolment), default=datetime.isoformat).encode("utf-8"))
        for file in self._keys.glob("*"):
            if file.name.partition(".")[0] not in (enrolment.key_id, enrolment.next_key):
                file.unlink(missing_ok=True)

    def hotline(self) -> dict[str, str]:
        """The number that was told last, under ``hotline``; nothing when none was, or it cannot be read."""
        try:
            return {"hotline": self._hotline.read_text("utf-8")}
        except (OSError, ValueError):
            return {}

    def keep_hotline(self, number: str) -> None:
        """A disk that is full costs only the number."""
        if self.hotline().get("hotline") != number:
            try:
                _write(self._hotline, number.encode("utf-8"))
            except OSError:
                log.exception("the hotline cannot be written down")

    def _identity(self, box_number: str, private: Any, server_keys: dict[str, bytes]) -> Identity:
        from stb_app.tsp.signing import Identity, key_id

        name = key_id(private.public_key().public_bytes_raw())
        counter = Counter(self._keys / f"{name}.count")
        return Identity(box_number, private, counter.next, self._random, server_keys)


class Counter:
    """Numbers that only grow, whatever happens to the power: two requests of a key never have the same one.

    A block of them is written down as used before the first of it is: what is left of a block at the end is lost.
    """

    BLOCK = 1000

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._last = self._reserved = 0

    def next(self) -> int:
        """Raises OSError when it cannot be written down."""
        with self._lock:
            if self._last >= self._reserved:
                try:
                    used = int(self._path.read_text("ascii"))
                except FileNotFoundError:
                    used = 0
                except ValueError as error:
                    raise OSError(f"{self._path} is no number") from error
                _write(self._path, str(used + self.BLOCK).encode("ascii"))
                self._last, self._reserved = used, used + self.BLOCK
            self._last += 1
            return self._last


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all, also when the power goes; for the owner's eyes only. Raises OSError."""
    temporary = path.with_name(f"{path.name}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
