"""What a television can do wrong."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any
from unittest.mock import patch

from server_stub.tsp import rivals
from stb_app.journeys import card_payment, earlier, memory, remembered_payment, settling, steps
from stb_app.shell import box, connection
from stb_app.shell.box import BoxFiles
from stb_app.tsp import client
from stb_app.tsp.problem import Problem as BoxProblem
from tests.simulation import machine
from tests.simulation.bugs.harness import both, bug, put


def rivals_welcome() -> AbstractContextManager[Any]:
    """The TSP does not mind that a service is being paid already: what is left is the box's own care."""
    return put(rivals, "_within", lambda reach, others: [])


@bug("silence-is-no", "people_are_told_the_truth", "everything_ends", seed=47)
def box_takes_silence_for_no() -> AbstractContextManager[Any]:
    """The card went between MAC1 and its answer, and the box calls that a failure."""

    def give_up(self: Any, record: Any, settle: Any) -> Any:
        self._till.memory.forget(record.payment)
        return steps.Finished("failed", "not-taken", "card-removed", self.payment)

    return put(remembered_payment.RememberedPayment, "_ask_back", give_up)


@bug("forget-before-debit", "charged_is_served_or_open", "everything_ends", seed=29)
def forget_before_debit() -> AbstractContextManager[Any]:
    """The box does not write down that the card may be debited."""
    keep = memory.Memory.keep

    def only_proofs(self: Any, record: Any) -> None:
        if record.tac is not None:
            keep(self, record)
        else:
            self._records[record.payment] = record

    return put(memory.Memory, "keep", only_proofs)


@bug("no-fsync", "boxes_remember_what_is_open", "charged_is_served_or_open", seed=14)
def no_fsync() -> AbstractContextManager[Any]:
    """The box's memory is renamed into place before it is on the disk."""
    return put(machine.Disk, "fsync", lambda self, descriptor: machine.acting_box().disk_operation())


@bug("ignore-earlier", "nobody_is_charged_twice", seed=111)
def ignore_earlier() -> AbstractContextManager[Any]:
    """A card that still has to explain a payment is debited for the next one."""
    return both(
        rivals_welcome(),
        put(card_payment.CardPayment, "_settle_earlier", lambda self, purse, facts: facts),
    )


@bug("waiting-proof-overlooked", "nobody_is_charged_twice", seed=111)
def waiting_proof_is_overlooked() -> AbstractContextManager[Any]:
    """A card pays again for the same while its proof of the first time waits on the box."""
    return both(rivals_welcome(), put(earlier.EarlierPayments, "look", lambda self, silent: None))


@bug("throw-proof-away", "charged_is_served_or_open", seed=23)
def proof_is_thrown_away() -> AbstractContextManager[Any]:
    """The box forgets the proof when the TSP does not answer."""
    send = settling.send_proof

    def once(client: Any, kept: Any, record: Any) -> Any:
        try:
            return send(client, kept, record)
        except BoxProblem as problem:
            kept.forget(record.payment)
            raise BoxProblem("tsp-answer-bad", money="unknown") from problem

    return put(settling, "send_proof", once)


@bug("evidence-has-one-key", "keys_are_used_once", seed=313)
def evidence_has_one_key() -> AbstractContextManager[Any]:
    """Whatever a card says of a debit that was not made is sent with one key."""
    send = client.TspClient.not_debited

    def one_key(self: Any, payment: str, sw: int, number: int, balance_fen: int, key: str) -> Any:
        return send(self, payment, sw, number, balance_fen, f"{key.rpartition('-')[0]}-n")

    return put(client.TspClient, "not_debited", one_key)


@bug("counter-starts-again", "boxes_are_let_in", seed=1)
def counter_starts_again() -> AbstractContextManager[Any]:
    """A box counts its nonces from the beginning when its power comes back."""
    return patch.object(box.Counter, "BLOCK", 0)


@bug("next-key-not-kept", "boxes_are_let_in", seed=1)
def next_key_is_not_written_down() -> AbstractContextManager[Any]:
    """The box goes over to a key of which it has written down nothing."""
    keep = BoxFiles.keep

    def only_ends(self: Any, enrolment: Any) -> None:
        if enrolment.next_key is None:
            keep(self, enrolment)

    return put(BoxFiles, "keep", only_ends)


@bug("rotation-unfinished", "boxes_are_let_in", seed=1)
def rotation_is_left_unfinished() -> AbstractContextManager[Any]:
    """A box that was not told whether it has a new key finds out when it is switched on the next time."""
    return put(connection.Connection, "_finish_later", lambda self, turn: None)
