"""The page on which a customer chooses what we mail."""

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from accounts import notices
from accounts.notices import ALWAYS, Kind
from web.current_customer import current_customer_id
from web.sign_in import signed_in

CHOICES = [(kind.value, kind.label) for kind in Kind if kind not in ALWAYS]


class MailForm(forms.Form):
    """Which notices a customer wants."""

    wanted = forms.MultipleChoiceField(
        label="Mail me about",
        required=False,
        choices=CHOICES,
        widget=forms.CheckboxSelectMultiple,
    )


@signed_in
@require_http_methods(["GET", "POST"])
def mail(request: HttpRequest) -> HttpResponse:
    """Show and change what is mailed."""
    customer_id = current_customer_id(request)
    unmuted = [kind for kind, _ in CHOICES if kind not in notices.muted_by(customer_id)]
    form = MailForm(request.POST or None, initial={"wanted": unmuted})
    if request.method == "POST":
        form = MailForm(request.POST)
        if form.is_valid():
            notices.set_muted(customer_id, [kind for kind, _ in CHOICES if kind not in form.cleaned_data["wanted"]])
            messages.success(request, "Saved.")
            return redirect("mail")
    return render(request, "accounts/mail.html", {"form": form}, status=422 if form.errors else 200)
