"""The box's own log: one JSON line an event, the file turned over so that it never fills the disk.

``event`` is a name that stays the same (docs/operations.md lists them) where a line was written with one:
``log.info("what happened", extra={"event": "journey", "correlation": ...})``; ``text`` is for people.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

BYTES, FILES = 256 * 1024, 3
FIELDS = ("correlation", "what", "payment", "method", "path", "status", "code", "ms")
"""What a line may carry besides; anything else stays out, also what somebody adds without thinking."""


class JsonLines(logging.Formatter):
    """A record as one line of JSON."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "event": getattr(record, "event", "message"),
            "level": record.levelname.lower(),
            "timestamp": datetime.fromtimestamp(record.created).astimezone().isoformat(),
            "logger": record.name,
            "text": record.getMessage(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def write_to(path: Path) -> None:
    """Everything from INFO on goes to the file. Raises OSError when it cannot be opened."""
    handler = RotatingFileHandler(path, maxBytes=BYTES, backupCount=FILES, encoding="utf-8")
    # A disk that fills up later is no reason to write tracebacks on the terminal, about a line that is lost.
    logging.raiseExceptions = False
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
