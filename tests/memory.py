"""Keeps Python's garbage collector from examining objects that live as long as the session."""

import gc


def pytest_configure() -> None:
    """Collect garbage less often, starting before tests are imported and collected."""
    gc.set_threshold(20_000, 20, 50)


def pytest_collection_finish() -> None:
    """Exclude all existing objects from garbage collection, which took a sixth of the time of quick tests."""
    gc.freeze()
