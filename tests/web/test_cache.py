"""The cache while Valkey is unavailable."""

from web.cache import BestEffortCache


def test_without_valkey_nothing_is_cached_and_nothing_fails() -> None:
    cache = BestEffortCache("redis://127.0.0.1:1/0", {"OPTIONS": {"socket_connect_timeout": 0.2}})
    cache.set("a", 1, 60)
    assert cache.get("a", "default") == "default"
    assert cache.add("a", 1) is True
    assert cache.delete("a") is False
