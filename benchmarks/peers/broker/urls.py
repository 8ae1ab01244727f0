"""URL routes."""

from django.http import HttpResponse
from django.urls import path

from broker.api import PlaceTrade
from broker.callback import callback

urlpatterns = [
    path("api/v1/trades", PlaceTrade.as_view()),
    path("exchange/callbacks", callback),
    path("readyz", lambda request: HttpResponse("ok")),
]
