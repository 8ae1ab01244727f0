"""Cached values: read once while they are fresh, by one thread at a time, and kept while their source fails."""

import threading
from typing import Any

import pytest

from web.backoff import Backoff
from web.cached import Cached, CachedByKey


class Source:
    """Counts how often it is read. Fails with `error` if that is set, and waits for `may_answer`."""

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


def test_a_value_is_read_again_only_after_it_expires(source: Source) -> None:
    cached = Cached(source.read, 60)
    assert [cached.get(), cached.get(), cached.get(seconds=0), cached.get()] == [1, 1, 2, 2]
    cached.expire()
    assert cached.get() == 3


def test_an_old_value_is_returned_while_its_source_fails_as_expected(source: Source) -> None:
    cached = Cached(source.read, 60, stale_after=(TimeoutError,))
    source.error = TimeoutError()
    with pytest.raises(TimeoutError):
        cached.get()  # there is no old value yet
    source.error = None
    assert cached.get() == 2
    source.error = TimeoutError()
    cached.expire()
    assert [cached.get(), cached.get()] == [2, 2]
    assert source.reads == 3, "after a failure the source isn't read again until the value would have expired"
    source.error = ValueError()
    cached.expire()
    with pytest.raises(ValueError):
        cached.get()


def test_with_an_initial_value_no_thread_waits_for_anothers_read(source: Source) -> None:
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
    values: list[int] = []
    threads = [threading.Thread(target=lambda: values.append(cached.get())) for _ in range(8)]
    for thread in threads:
        thread.start()
    source.may_answer.set()
    for thread in threads:
        thread.join()
    assert (values, source.reads) == ([1] * 8, 1)


def test_each_key_has_its_own_value_and_the_number_of_keys_is_limited(source: Source) -> None:
    cached = CachedByKey(source.read, 60, keys_max=2)
    assert [cached.get("a"), cached.get("b"), cached.get("a")] == [1, 2, 1]
    assert cached.get("c") == 3
    assert cached.get("a") == 4, "adding the third key evicted the other two"


def test_a_backoff_ends_after_its_time_or_when_it_is_stopped() -> None:
    backoff = Backoff(60)
    assert not backoff.is_active
    backoff.start()
    assert backoff.is_active
    backoff.stop()
    assert not backoff.is_active
    backoff.start(seconds=0)
    assert not backoff.is_active
