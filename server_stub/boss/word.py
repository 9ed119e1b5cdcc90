"""The operator's word on boxes: suspended, stolen, back in service, without a key, with a new activation code."""

from __future__ import annotations

from sqlalchemy import Connection

from server_stub.boss import keys
from server_stub.boss.tables import audit
from server_stub.foundation.clock import Clock
from server_stub.foundation.ids import RandomBytes

CODE_DIGITS = 10
STATES = {"suspend": "suspended", "activate": "active", "stolen": "stolen"}
"""State by action."""
ACTIONS = (*STATES, "revoke", "activation")


def fresh_code(random: RandomBytes) -> str:
    """A new activation code."""
    return f"{int.from_bytes(random(8)) % 10**CODE_DIGITS:0{CODE_DIGITS}}"


def change(
    conn: Connection,
    action: str,
    box_number: str,
    clock: Clock,
    actor: str,
    code_hash: str = "",
    **facts: str,
) -> bool:
    """Changes a box's state, ends its keys and its activation code, or gives it another code; False when there is no such
    box.

    Args:
        actor: who does it, for the audit log.
        code_hash: of the new activation code.
        facts: what else belongs there, such as the reason.
    """
    if action in STATES:
        known = keys.set_state(conn, box_number, STATES[action])
    elif action == "activation":
        known = keys.set_activation(conn, box_number, code_hash)
    else:
        # Whoever has the code could register another key at once.
        known = keys.set_activation(conn, box_number, "")
        keys.end(conn, box_number, keys.REVOKED, clock.now())
    if known:
        audit.append(conn, clock, actor, f"box-{action}", box_number, **facts)
    return known
