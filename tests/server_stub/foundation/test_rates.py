"""Token buckets: what is taken, when there is more, and a clock that goes back."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import MetaData, create_engine

from server_stub.foundation.clock import CHINA
from server_stub.foundation.problems import Problem
from server_stub.foundation.rates import Limit, give_back, rates_table, take

NOW = datetime(2026, 6, 21, tzinfo=CHINA)
METADATA = MetaData()
RATES = rates_table(METADATA)


@given(st.integers(1, 5), st.lists(st.tuples(st.integers(-30, 90), st.booleans()), max_size=40))
def test_in_no_period_is_more_taken_than_twice_the_limit(amount: int, steps: list[tuple[int, bool]]) -> None:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    limit = Limit(amount, 60)
    at, taken, waits = NOW, list[datetime](), list[int]()
    with engine.begin() as conn:
        for seconds, back in steps:
            at += timedelta(seconds=seconds)
            try:
                take(conn, RATES, "one", limit, at)
            except Problem as problem:
                waits.append(problem.body.facts["retry_after_seconds"])
                continue
            if back:
                give_back(conn, RATES, "one", limit, at)
            else:
                taken.append(at)
    assert all(1 <= wait <= 60 for wait in waits)
    # By the highest clock seen: a clock that is set back fills nothing.
    highest = NOW
    for first in taken:
        highest = max(highest, first)
        assert sum(highest <= one < highest + timedelta(seconds=60) for one in taken) <= 2 * amount


def test_names_do_not_share_and_a_wait_ends_when_it_said() -> None:
    engine = create_engine("sqlite://")
    METADATA.create_all(engine)
    with engine.begin() as conn:
        take(conn, RATES, "one", Limit(1, 10), NOW)
        take(conn, RATES, "other", Limit(1, 10), NOW)
        with pytest.raises(Problem) as refused:
            take(conn, RATES, "one", Limit(1, 10), NOW + timedelta(seconds=4))
        assert refused.value.body.facts == {"retry_after_seconds": 6}
        take(conn, RATES, "one", Limit(1, 10), NOW + timedelta(seconds=10))
