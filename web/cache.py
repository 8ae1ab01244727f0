"""The backend of Django's cache, which keeps recent prices and counts sign-in attempts."""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from django.core.cache.backends.base import DEFAULT_TIMEOUT
from django.core.cache.backends.redis import RedisCache
from redis.exceptions import RedisError

from web.patience import waiting
from web.valkey import cache_backoff

Result = TypeVar("Result")


class BestEffortCache(RedisCache):
    """A Redis cache that never fails: while Valkey is unavailable, every read is a miss and nothing is stored.

    A process that has waited for Valkey in vain does not ask it again for a moment.
    """

    def get(self, key: Any, default: Any = None, version: int | None = None) -> Any:
        return _unless_away(partial(super().get, key, default, version), default)

    def set(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> None:
        _unless_away(partial(super().set, key, value, timeout, version), None)

    def get_many(self, keys: Any, version: int | None = None) -> dict[Any, Any]:
        return _unless_away(partial(super().get_many, keys, version), {})

    def set_many(self, data: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> list[Any]:
        return _unless_away(partial(super().set_many, data, timeout, version), list(data))

    def add(self, key: Any, value: Any, timeout: Any = DEFAULT_TIMEOUT, version: int | None = None) -> bool:
        return _unless_away(partial(super().add, key, value, timeout, version), True)  # as for a new key

    def delete(self, key: Any, version: int | None = None) -> bool:
        return _unless_away(partial(super().delete, key, version), False)


def _unless_away(use: Callable[[], Result], otherwise: Result) -> Result:
    """Return the result of a use of Valkey, or `otherwise` if it fails now or failed a moment ago."""
    if cache_backoff.is_active:
        return otherwise
    try:
        with waiting():
            return use()
    except RedisError:
        cache_backoff.start()
        return otherwise
