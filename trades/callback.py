"""The exchange's callback: receives reports from the exchange."""

from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from exchange import wire
from exchange.messages import Malformed
from trades.models import Report
from trades.report import store_reports
from web.headers import header
from web.problems import PROBLEM_JSON, problem

REPORTS_MAX = 100


@csrf_exempt
def callback(request: HttpRequest) -> HttpResponse:
    """Store the reports of `POST {"reports": [report, …]}`, 1 to 100 of them, signed by the exchange.

    Each report is judged later, on its own, so that a malformed one does not hold up the others.

    Idempotent: yes.

    Returns:
        204 once the reports are durable; 400 if the body is not a list of reports; 401 if the signature is missing,
        wrong, or more than five minutes old; 405 if the method is not POST.
    """
    if request.method != "POST":
        return _problem(405, "method_not_allowed", "Send reports with POST.")
    try:
        signature = {name: header(request, name) or "" for name in wire.SIGNATURE_HEADERS}
        body = wire.verify_callback(request.body, signature)
        reports = body.get("reports") if isinstance(body, dict) else None
        if not (
            isinstance(reports, list)
            and 1 <= len(reports) <= REPORTS_MAX
            and all(isinstance(report, dict) for report in reports)
        ):
            raise Malformed(f"reports must be a list of 1 to {REPORTS_MAX} objects")
    except wire.Unsigned:
        return _problem(401, "unsigned", "The signature is missing, wrong, or too old.")
    except Malformed as error:
        return _problem(400, "malformed", str(error))
    store_reports(reports, Report.Source.CALLBACK)
    return HttpResponse(status=204)


def _problem(status: int, code: str, detail: str) -> JsonResponse:
    return JsonResponse(
        problem(status, code, detail),
        status=status,
        headers={"Allow": "POST"} if status == 405 else {},
        content_type=PROBLEM_JSON,
    )
