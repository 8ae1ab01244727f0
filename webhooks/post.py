"""Post to a customer's server, and describe the result in one sentence.

Each post has one deadline for connecting, sending, and receiving the headers of the answer.
"""

import http.client
import ssl
from collections.abc import Mapping
from dataclasses import dataclass

from web.http import NoAnswer, NoConnection, PinnedClient
from webhooks.addresses import AddressRefused, resolve

POST_SECONDS_MAX = 5.0
CONNECT_SECONDS_MAX = 3.0


@dataclass(frozen=True, slots=True)
class Answer:
    """The result of a POST: the HTTP status, if there was an answer, and a sentence for the webhook's owner."""

    status: int | None
    text: str

    @property
    def is_success(self) -> bool:
        """Whether the receiver accepted the event."""
        return self.status is not None and 200 <= self.status < 300


class Receiver:
    """A customer's server. Consecutive posts share a connection as long as it lasts."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._client: PinnedClient | None = None

    def __enter__(self) -> "Receiver":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def post(self, headers: Mapping[str, str], body: bytes) -> Answer:
        """Post once, within POST_SECONDS_MAX. Never raises."""
        try:
            # Connect to the address that was checked, even if the host resolves to another one a moment later.
            self._client = self._client or PinnedClient(self._url, resolve(self._url))
            status = self._client.call(
                "POST",
                seconds_max=POST_SECONDS_MAX,
                connect_seconds_max=CONNECT_SECONDS_MAX,
                body=body,
                headers=headers,
            ).status
        except AddressRefused as refusal:
            text = str(refusal)
        except NoAnswer as error:
            text = _sentence(error)
        except ValueError:
            text = "The host can't be reached."
        else:
            return Answer(status, f"HTTP {status}")
        self._close()  # the next post looks the name up again
        return Answer(None, text[:200])

    def _close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


def _sentence(error: NoAnswer) -> str:
    match error.__cause__:
        case TimeoutError() if isinstance(error, NoConnection):
            return f"No connection within {CONNECT_SECONDS_MAX:.0f} seconds."
        case TimeoutError():
            return f"No answer within {POST_SECONDS_MAX:.0f} seconds."
        case ConnectionRefusedError():
            return "The connection was refused."
        case ssl.SSLCertVerificationError() as invalid:
            return f"The server's certificate is not valid: {invalid.verify_message}."
        case ssl.SSLError():
            return "A secure connection could not be established."
        case http.client.HTTPException() | ConnectionError():
            return "The connection broke before an answer arrived."
    return "The host can't be reached."
