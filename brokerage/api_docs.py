"""The reference of the REST API, as a page for people."""

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


# Redoc writes its styles into the page.
@csp_update({"style-src": ["'self'", "'unsafe-inline'"]})
@require_GET
def api_docs(request: HttpRequest) -> HttpResponse:
    """Show every operation with its parameters, answers and examples, rendered from the OpenAPI schema by Redoc."""
    return render(request, "api_docs.html")
