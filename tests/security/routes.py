"""Every address of the brokerage, found by walking the URL resolver, so that new ones are tested too."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.urls import URLPattern, URLResolver, get_resolver
from django.urls.converters import get_converters

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
OPEN_TO_ALL = {"/api/schema/", "/api/docs/", "/api/errors/"}


@dataclass(frozen=True)
class Route:
    """An address with the names of its parameters in braces, and the methods that it accepts."""

    path: str
    parameters: tuple[str, ...]
    methods: tuple[str, ...]

    def to(self, **values: str) -> str:
        """Return the address for these parameters. Raises KeyError for an unknown parameter."""
        return self.path.format_map(values)


def api_routes() -> list[Route]:
    """Return the API routes that require a token."""
    return [route for route in routes() if route.path.startswith("/api/") and route.path not in OPEN_TO_ALL]


def routes() -> list[Route]:
    return list(_walk(get_resolver(), "/"))


def _walk(resolver: URLResolver, prefix: str) -> Iterator[Route]:
    for pattern in resolver.url_patterns:
        path = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if not path.startswith("/admin/"):
                yield from _walk(pattern, path)
        elif isinstance(pattern, URLPattern) and "^" not in path:
            view = getattr(pattern.callback, "view_class", getattr(pattern.callback, "cls", None))
            methods = tuple(method for method in METHODS if view is None or hasattr(view, method.lower()))
            names = tuple(pattern.pattern.converters)
            for converter in get_converters():
                for name in names:
                    path = path.replace(f"<{converter}:{name}>", "{" + name + "}").replace(
                        f"<{name}>", "{" + name + "}"
                    )
            yield Route(path, names, methods)
