"""Pages go out compressed. Answers of the API are a few hundred bytes, and do without."""

from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

COMPRESSED = ("text/html", "text/csv")


class Compression(GZipMiddleware):
    """Middleware: compresses pages, at a length that tells nothing of what is in them."""

    def process_response(self, request: HttpRequest, response: HttpResponseBase) -> HttpResponseBase:
        """The answer, compressed if it is a page."""
        if not response.headers.get("Content-Type", "").startswith(COMPRESSED):
            return response
        return super().process_response(request, response)  # type: ignore[arg-type]
