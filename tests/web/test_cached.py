"""Cached values: read once while they are fresh, by one thread at a time, and kept while their source fails."""

import threading
from typing import Any

import pytest

from web.backoff import Backoff
from web.cached import Cached, CachedByKey


class Source:
    """Counts how often it is read; fails or waits when told to."""

    def __init__(self) -> None:
        self.reads = 0
        self.error: Exception | None = None
        self.may_answer = threading.Event()
        self.may_answer.set()

    def read(self, *_: Any) -> int:
        self.reads += 1
        assert self.may_answer.wait(10)
        if self.error is not None:
            raise self.error
        return self.reads


@pytest.fixture
def source() -> Source:
    return Source()


def test_a_value_is_read_again_only_when_it_is_too_old(source: Source) -> None:
    cached = Cached(source.read, 60)
    assert [cached.get(), cached.get(), cached.get(seconds=0), cached.get()] == [1, 1, 2, 2]
    cached.expire()
    assert cached.get() == 3


def test_an_old_value_serves_while_its_source_fails_as_expected(source: Source) -> None:
    cached = Cached(source.read, 60, stale_after=(TimeoutError,))
    source.error = TimeoutError()
    with pytest.raises(TimeoutError):
        cached.get()  # there is no old value yet
    source.error = None
    assert cached.get() == 2
    source.error = TimeoutError()
    cached.expire()
    assert [cached.get(), cached.get()] == [2, 2]
    assert source.reads == 3, "a source that failed is left alone for as long as a value is kept"
    source.error = ValueError()
    cached.expire()
    with pytest.raises(ValueError):
        cached.get()


def test_with_an_initial_value_nobody_waits_for_anothers_read(source: Source) -> None:
    source.may_answer.clear()
    cached = Cached(source.read, 60, initial=0)
    reader = threading.Thread(target=cached.get)
    reader.start()
    while not source.reads:
        pass
    assert cached.get() == 0
    source.may_answer.set()
    reader.join()
    assert cached.get() == 1


def test_without_an_initial_value_threads_wait_and_only_one_reads(source: Source) -> None:
    source.may_answer.clear()
    cached = Cached(source.read, 60)
    found: list[int] = []
    threads = [threading.Thread(target=lambda: found.append(cached.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    source.may_answer.set()
    for thread in threads:
        thread.join()
    assert (found, source.reads) == ([1] * 8, 1)


def test_keys_are_kept_apart_and_their_number_is_bounded(source: Source) -> None:
    cached = CachedByKey(source.read, 60, keys_max=2)
    assert [cached.get("a"), cached.get("b"), cached.get("a")] == [1, 2, 1]
    assert cached.get("c") == 3
    assert cached.get("a") == 4, "the third key made room by forgetting the others"


def test_a_backoff_lasts_for_its_time_and_can_be_ended() -> None:
    backoff = Backoff(60)
    assert not backoff.is_active
    backoff.start()
    assert backoff.is_active
    backoff.stop()
    assert not backoff.is_active
    backoff.start(seconds=0)
    assert not backoff.is_active
