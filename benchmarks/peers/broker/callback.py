"""The exchange's callback: reports of how trades ended."""

import json

from django.conf import settings
from django.http import HttpResponse
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from standardwebhooks import Webhook, WebhookVerificationError

from broker import trading

_webhook = Webhook(settings.EXCHANGE_SECRET)


@csrf_exempt
@require_POST
def callback(request):
    """Settle each report, then answer 204; answer 401 if the exchange didn't sign the request."""
    try:
        _webhook.verify(request.body, {name.lower(): value for name, value in request.headers.items()})
    except WebhookVerificationError:
        return HttpResponse(status=401)
    for report in json.loads(request.body)["reports"]:
        trading.settle(report)
    return HttpResponse(status=204)
