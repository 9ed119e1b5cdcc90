"""Keys of one installation, in files that only the owner may read, and what is done with them."""

from __future__ import annotations

import hashlib
import hmac
import os
from pathlib import Path

from cryptography.fernet import Fernet

from server_stub.foundation.secret import SecretBytes
from server_stub.foundation.startup import CannotStart, cannot_keep


def key_file(path: Path, *, make: bool = True) -> SecretBytes:
    """The key in a file; at the first start (``make``) it is made, readable by the owner only (0600).

    Two roles starting at once over one folder get the same key: the file is made whole under another name and
    linked into place, which only one of them can do.

    Raises:
        CannotStart: the file is empty, has something in it that no key has, or cannot be read or made.
    """
    if not make and not path.exists():
        raise CannotStart(f"{path} is missing, and what it has sealed is there; put it back from a copy")
    try:
        key = _read_or_make(path).strip()
    except OSError as error:
        raise cannot_keep(path, error) from error
    if not key or not key.isascii() or not key.decode("ascii").isprintable():
        raise CannotStart(f"{path} is not a key; put the right one back from a copy")
    return SecretBytes(key)


def vault_file(path: Path, *, make: bool = True) -> Vault:
    """The vault whose key is in a file, as above. Raises CannotStart."""
    try:
        return Vault(key_file(path, make=make))
    except ValueError as error:
        raise CannotStart(
            f"{path} is not a key of this server; put the right one back from a copy"
        ) from error


def _read_or_make(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        temporary = path.with_name(f"{path.name}.{os.getpid()}")
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(Fernet.generate_key())
                file.flush()
                os.fsync(file.fileno())
            os.link(temporary, path)
        except FileExistsError:
            return path.read_bytes()
        finally:
            temporary.unlink(missing_ok=True)
        return path.read_bytes()


class Vault:
    """Seals what must not be read in the database; makes keyed fingerprints of what must be found again."""

    def __init__(self, key: SecretBytes) -> None:
        self._fernet = Fernet(key.reveal())
        self._key = key

    def seal(self, plain: bytes) -> str:
        """Encrypted and authenticated text for a database column."""
        return self._fernet.encrypt(plain).decode("ascii")

    def unseal(self, sealed: str) -> bytes:
        """The plain bytes again. Raises cryptography.fernet.InvalidToken."""
        return self._fernet.decrypt(sealed.encode("ascii"))

    def fingerprint(self, label: str, value: bytes) -> str:
        """HMAC-SHA256 under this installation's key; the label keeps different things apart."""
        return hmac.new(self._key.reveal(), label.encode() + b"\0" + value, hashlib.sha256).hexdigest()

    def derive(self, label: str) -> SecretBytes:
        """A key of its own for another use, 32 bytes; the same wherever this installation's key is."""
        return SecretBytes(bytes.fromhex(self.fingerprint(label, b"")))


def signature(secret: bytes, timestamp: str, nonce: str, body: bytes) -> str:
    """HMAC-SHA256 over timestamp, nonce and raw body, each ended by a newline; upper-case hex."""
    message = timestamp.encode() + b"\n" + nonce.encode() + b"\n" + body + b"\n"
    return hmac.new(secret, message, hashlib.sha256).hexdigest().upper()
