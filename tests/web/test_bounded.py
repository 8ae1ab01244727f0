"""Work that takes a core is done one at a time, and few wait for it."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from web import pdf
from web.bounded import Bounded
from web.documents import TooManyDocuments


class Refused(Exception):
    pass


def test_one_at_a_time_and_few_wait() -> None:
    work = Bounded(waiting_max=2, wait_seconds_max=20.0, refusal=Refused)
    is_over, order = threading.Event(), list[int]()

    def take(number: int) -> str:
        try:
            with work.turn():
                order.append(number)
                assert is_over.wait(20)
                return "done"
        except Refused:
            return "refused"

    with ThreadPoolExecutor(6) as pool:
        asked = [pool.submit(take, number) for number in range(6)]
        while sum(each.done() for each in asked) < 3:
            is_over.wait(0.01)
        assert len(order) == 1
        is_over.set()
        assert sorted(each.result() for each in asked) == ["done"] * 3 + ["refused"] * 3


def test_nobody_has_two_places_and_each_is_given_back() -> None:
    work = Bounded(waiting_max=5, wait_seconds_max=0.01, refusal=Refused)
    for _ in range(10):
        with ExitStack() as stack:
            stack.enter_context(work.turn("alice"))
            for whose in ("alice", "bob"):  # who has a place, and who gets no turn in time
                with pytest.raises(Refused), work.turn(whose):
                    pytest.fail("two at once")


LONG = [pdf.Table([["Time", "Amount"], *[[f"{n}", f"${n:,}.00"] for n in range(1000)]], [1, 1], 1)]


def test_a_customer_has_one_document_made_at_a_time_and_others_have_theirs() -> None:
    def ask(whose: int) -> bytes | None:
        try:
            return pdf.document("Statement", "November", LONG, "USD", whose=whose)
        except TooManyDocuments:
            return None

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(ask, [1, 1, 1, 2]))
    assert [document is not None for document in made].count(True) == 2
    assert made[3] is not None
    assert made[3].startswith(b"%PDF")
