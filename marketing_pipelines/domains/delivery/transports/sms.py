"""Text messages over HTTP, as Twilio takes them."""

from marketing_pipelines.domains.delivery.rendering import MessageError, Rendered
from marketing_pipelines.domains.delivery.transports.http import HttpLine, object_of, refusal
from marketing_pipelines.domains.delivery.transports.http_services import SmsService
from marketing_pipelines.domains.delivery.transports.outcomes import ListedError

# Codes of answers about the recipient: no number of a mobile phone, and left by STOP.
_INVALID = (21211, 21614)
_LEFT = 21610


class SmsTransport:
    """Hands text messages to one service."""

    repeatable = False

    def __init__(self, service: SmsService, public_url: str | None) -> None:
        self._service = service
        self._public_url = public_url
        self._http = HttpLine(service.base, auth=(service.account, service.token))
        self.line = f"sms+{service.base}"

    def send(self, message: Rendered) -> str | None:
        """Hands over a text message; see `Transport.send`.

        The request names the address of status reports, so that a message whose answer was lost is
        found by them.
        """
        kind = "MessagingServiceSid" if self._service.sender.startswith("MG") else "From"
        form = {
            "To": message.recipient,
            kind: self._service.sender,
            "Body": message.content["text"],
        }
        if self._public_url is not None:
            base = self._public_url.rstrip("/")
            form["StatusCallback"] = f"{base}/hooks/twilio?message={message.id}"
        answer = self._http.post(
            f"/2010-04-01/Accounts/{self._service.account}/Messages.json", data=form
        )
        body = object_of(answer)
        if answer.is_success:
            return str(body["sid"]) if "sid" in body else None
        if body.get("code") in _INVALID:
            raise MessageError("invalid_number")
        if body.get("code") == _LEFT:
            raise ListedError("unsubscribed", suppression="unsubscribed")
        raise refusal(self.line, answer)

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def check(self) -> str:
        """Asks for the account.

        Raises:
            LineError: the service cannot be reached, or refuses the login.
        """
        answer = self._http.get(f"/2010-04-01/Accounts/{self._service.account}.json")
        if not answer.is_success:
            raise refusal(self.line, answer)
        return f"{self._service.base} knows the account"
