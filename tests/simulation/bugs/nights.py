"""What can be done wrong at night: at PPP, at the platform, and in what heals."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

from server_stub.foundation import changed_days
from server_stub.foundation.purse_details import ACCEPTED
from server_stub.ppp import purse_debits
from server_stub.reconciliation import book
from server_stub.tsp import remedies, uploads
from server_stub.tsp.reconciling import Reconciling
from tests.simulation.bugs.harness import both, bug, put

LEFT, TOLD, BACK = "nights_leave_what_was_planted", "nights_tell_every_day", "nights_give_money_back"


@bug("any-tac-is-right", LEFT, seed=60)
def any_tac_is_right() -> AbstractContextManager[Any]:
    """PPP does not look at the proof."""
    verdict = purse_debits.PurseDebits._verdict

    def kind(self: Any, detail: Any) -> Any:
        return verdict(self, detail)[0], ACCEPTED

    return put(purse_debits.PurseDebits, "_verdict", kind)


@bug("breaks-are-closed-unseen", LEFT, seed=60)
def breaks_are_closed_unseen() -> AbstractContextManager[Any]:
    """What a run has found is closed at once, as if somebody had."""
    see = book.Book.see

    def closed(self: Any, conn: Any, ids: Any, clock: Any, run: str, differences: Any, **told: Any) -> Any:
        seen = see(self, conn, ids, clock, run, differences, **told)
        for row in self.waiting(conn):
            self.close(conn, clock, row.id, "nobody")
        return seen

    return put(book.Book, "see", closed)


@bug("answers-are-not-read", TOLD, seed=10)
def answers_are_not_read() -> AbstractContextManager[Any]:
    """What PPP says to a day is kept, and nobody reads it."""

    async def unread(self: Any, received: Any) -> None:
        await self.core.database.write(lambda conn: self.exchange.used(conn, received))

    return put(uploads.Uploads, "_apply", unread)


@bug("refund-is-not-owed", BACK, seed=20)
def refund_is_not_owed() -> AbstractContextManager[Any]:
    """A payment is said to go back, and the wallet hears nothing of it."""

    def silent(self: Any, conn: Any, row: Any, actor: str) -> None:
        payment = self._opened(conn, row)
        self._moves.move(conn, payment, "refunding", actor=actor, reason=remedies.SERVICE_CANCELLED)
        self._close_order(conn, payment, actor)

    return put(remedies.Remedies, "_refund", silent)


@bug("old-days-are-not-told-again", LEFT, seed=20)
def old_days_are_not_told_again() -> AbstractContextManager[Any]:
    """What is taken back after a week changes a day that nobody looks at any more."""

    def unnoted(self: Any, conn: Any, at: Any) -> None:
        """As if nothing had changed."""

    return put(changed_days.ChangedDays, "note", unnoted)


@bug("nothing-waits-longer-than-the-window", LEFT, seed=20)
def nothing_waits_longer_than_the_window() -> AbstractContextManager[Any]:
    """What BOSS opens later than that does not find its payment, neither what waits for it nor by its key."""
    carry, looked_for = book.Book.carry, Reconciling._looked_for

    def near(found: Any, day: Any) -> Any:
        return [one for one in found if abs((one.record.day - day).days) <= 3]

    def carried(self: Any, conn: Any, pair: str, day: Any) -> Any:
        return near(carry(self, conn, pair, day), day)

    async def looked(self: Any, books: Any, day: Any, result: Any) -> Any:
        aside, left_out = await looked_for(self, books, day, result)
        return near(aside, day), left_out

    return both(put(book.Book, "carry", carried), put(Reconciling, "_looked_for", looked))
