"""Simulated staff: they halt, restrict and limit trading over HTTP in the back office, and lift it again."""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlencode

import urllib3

from chaos.record import now
from local.harness import Brokerage

ANSWER_SECONDS_MAX = 8.0
PATIENCE_SECONDS = 60.0
"""How long staff keep retrying an action."""
RETRY_SECONDS = 0.5
MAY_BE_RETRIED = {408, 429}
CONFIRMED = "HALT"
"""The word that halting all trading asks for; other actions ignore it."""

SIGN_IN = """
from allauth.account.internal.flows.login import record_authentication
from django.conf import settings
from django.http import HttpRequest
from django.test import Client
from office.roles import Role, appoint
staff = appoint("chaos@staff.example.com", Role.RISK)
client = Client(REMOTE_ADDR="127.0.0.1")
client.force_login(staff)
request = HttpRequest()
request.session, request.user = client.session, staff
record_authentication(request, staff, "mfa", type="totp")
request.session.save()
print("session", request.session.session_key)
"""


class NotAccepted(Exception):
    """The action got no response for PATIENCE_SECONDS."""


class Refused(Exception):
    """The back office refused the action itself, so this harness doesn't ask for it as staff would."""


class Staff:
    """A member of staff with the risk role, signed in with a second factor. Thread-safe."""

    def __init__(self, brokerage: Brokerage, url: str) -> None:
        self._brokerage, self._url = brokerage, url
        self._token = "c" * 32  # Django compares the form's token with the cookie only
        self._pool = urllib3.PoolManager(retries=False, timeout=ANSWER_SECONDS_MAX)
        self._sign_in()

    def _sign_in(self) -> None:
        result = self._brokerage.manage("shell", "--no-imports", "-c", SIGN_IN, timeout=120)
        sessions = [line.partition(" ")[2] for line in result.stdout.splitlines() if line.startswith("session ")]
        if not sessions:
            raise RuntimeError(result.stderr)
        self._cookie = f"sessionid={sessions[0]}; csrftoken={self._token}"

    def do(self, action: str, form: Mapping[str, str], stop: threading.Event) -> float:
        """Take an action on the trading controls page, retrying until it is answered; return that time.

        Idempotent: yes.

        Returns:
            Epoch seconds of the response.

        Raises:
            NotAccepted: No success within PATIENCE_SECONDS, or before `stop` was set.
            Refused: The action is not possible like this; a retry would not help.
        """
        body = {"csrfmiddlewaretoken": self._token, "reason": "The fault suite.", "confirm": CONFIRMED, **form}
        deadline = time.monotonic() + PATIENCE_SECONDS
        response = "no answer"
        while time.monotonic() < deadline:
            headers = {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"}
            try:
                answer = self._pool.request(
                    "POST", f"{self._url}/admin/do/{action}/", body=urlencode(body), headers=headers, redirect=False
                )
                response = f"{answer.status} {answer.headers.get('Location', '')}"
                if answer.status == 302 and answer.headers["Location"].endswith("/controls/"):
                    return now()
                if 400 <= answer.status < 500 and answer.status not in MAY_BE_RETRIED:
                    raise Refused(f"{action}: {response}")
                if answer.headers.get("Location", "").startswith("/account/login/"):
                    self._sign_in()  # a web whose clock jumped an hour ahead has ended the session as idle
            except (urllib3.exceptions.HTTPError, OSError, RuntimeError, subprocess.SubprocessError) as error:
                response = repr(error)
            if stop.wait(RETRY_SECONDS):
                break
        raise NotAccepted(f"{action}: {response}")
