"""The page with the reference of the REST API."""

from csp.decorators import csp_update
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET


# Redoc writes inline styles into the page.
@csp_update({"style-src": ["'self'", "'unsafe-inline'"]})
@require_GET
def api_docs(request: HttpRequest) -> HttpResponse:
    """Show every operation with its parameters, responses and examples. Redoc renders them from the OpenAPI schema."""
    return render(request, "api_docs.html")
