"""The account pages for webhooks."""

from uuid import UUID

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_GET, require_http_methods

from web.current_customer import current_customer, current_customer_id
from web.sign_in import form_of, page_at, signed_in
from webhooks import subscriptions
from webhooks.addresses import AddressRefused
from webhooks.models import Delivery, Webhook
from webhooks.queries import with_last_delivery

DELIVERIES_A_PAGE = 25
HAS_ENDED = "This webhook has ended. Add a new one."


class WebhookForm(forms.Form):
    """An address to post events to."""

    url = forms.CharField(
        max_length=500,
        label="Address",
        help_text="A public address that starts with https://, such as https://example.com/brokerage.",
        widget=forms.URLInput(attrs={"autocomplete": "off", "spellcheck": "false"}),
        error_messages={"required": "Enter an address that starts with https://."},
    )


@signed_in
@require_http_methods(["GET", "POST"])
def hooks(request: HttpRequest) -> HttpResponse:
    """List the customer's webhooks, and add one. The secret is shown once, in the response that adds it."""
    form = WebhookForm(request.POST or None)
    made = None
    if request.method == "POST" and form.is_valid():
        try:
            customer = current_customer(request)
            made, _ = subscriptions.create(customer.pk, form.cleaned_data["url"], signed_in=customer)
        except AddressRefused as refused:
            form.add_error("url", f"Events can't be posted there. {refused}")
        except subscriptions.TooManyWebhooks:
            form.add_error(
                None, f"You have {subscriptions.WEBHOOKS_MAX} webhooks, which is the maximum. Delete one first."
            )
        else:
            form = WebhookForm()
    context = {"form": form, "made": made, "hooks": with_last_delivery(current_customer_id(request))}
    return render(request, "webhooks/webhooks.html", context, status=422 if form.errors else 200)


def _own_webhook(request: HttpRequest, webhook_id: UUID) -> Webhook:
    hook = Webhook.objects.filter(customer_id=current_customer_id(request), id=webhook_id).first()
    if hook is None:
        raise Http404
    return hook


@signed_in
@require_GET
def hook(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """Show a webhook with its deliveries, newest first."""
    webhook = _own_webhook(request, webhook_id)
    log = Delivery.objects.filter(webhook=webhook).order_by("-id")
    before = request.GET.get("before", "")
    if before.isdecimal() and len(before) < 19:
        log = log.filter(id__lt=int(before))
    deliveries = list(log[: DELIVERIES_A_PAGE + 1])
    on_page = deliveries[:DELIVERIES_A_PAGE]
    context = {
        "hook": webhook,
        "status_reason": _as_sentence(webhook.status_reason),
        "log": [{"delivery": delivery, "result": _as_sentence(delivery.answer)} for delivery in on_page],
        "next": on_page[-1].id if len(deliveries) > len(on_page) else None,
        "is_first": not before,
        "is_waiting": any(delivery.next_at and not delivery.attempts for delivery in on_page),
    }
    return render(request, "webhooks/webhook.html", context)


def _as_sentence(answer: str) -> str:
    return f"Your server answered {answer}." if answer.startswith("HTTP ") else answer


@form_of(page_at("webhook", "webhook_id"))
def test_hook(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """Post a test event to a webhook."""
    webhook = _own_webhook(request, webhook_id)
    try:
        subscriptions.send_test(webhook)
    except subscriptions.AnotherTestWaits:
        messages.error(request, "The test event before this one has not been sent yet.")
    except subscriptions.WebhookEnded:
        messages.error(request, HAS_ENDED)
    else:
        messages.success(request, "A test event is on its way. The log shows the result.")
    return redirect("webhook", webhook.id)


@form_of(page_at("webhook", "webhook_id"))
def pause_hook(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """Pause or resume a webhook."""
    webhook = _own_webhook(request, webhook_id)
    try:
        if request.POST.get("resume"):
            subscriptions.resume(webhook)
            messages.success(request, "The webhook is active again. Events that waited are on their way.")
        else:
            subscriptions.pause(webhook)
            messages.success(request, "The webhook is paused. Events wait until you resume it.")
    except subscriptions.WebhookEnded:
        messages.error(request, HAS_ENDED)
    return redirect("webhook", webhook.id)


@form_of(page_at("webhook", "webhook_id"))
def rotate_secret(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """Replace the secret of a webhook. The new secret is shown once, in this response."""
    webhook = _own_webhook(request, webhook_id)
    try:
        made = subscriptions.rotate_secret(webhook)
    except subscriptions.WebhookEnded:
        messages.error(request, HAS_ENDED)
        return redirect("webhook", webhook.id)
    customer_id = current_customer_id(request)
    context = {"form": WebhookForm(), "made": made, "is_rotated": True, "hooks": with_last_delivery(customer_id)}
    return render(request, "webhooks/webhooks.html", context)


@form_of(page_at("webhook", "webhook_id"))
def resend_delivery(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """Resend one delivery of a webhook."""
    webhook = _own_webhook(request, webhook_id)
    text = request.POST.get("delivery", "")
    delivery_id = int(text) if text.isdecimal() and len(text) < 19 else 0
    delivery = Delivery.objects.filter(webhook=webhook, id=delivery_id).first()
    if delivery is None:
        raise Http404
    try:
        subscriptions.resend(webhook, delivery)
        messages.success(request, "The event is on its way again.")
    except subscriptions.WebhookEnded:
        messages.error(request, HAS_ENDED)
    return redirect("webhook", webhook.id)


@form_of(page_at("webhooks"))
def delete_hook(request: HttpRequest, webhook_id: UUID) -> HttpResponse:
    """Delete a webhook and its delivery log."""
    subscriptions.remove(_own_webhook(request, webhook_id))
    messages.success(request, "The webhook is deleted. No more events are sent to it.")
    return redirect("webhooks")
