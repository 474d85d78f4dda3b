"""Calls of providers, signed as each signs them, with keys made for the test."""

import base64
import datetime as dt
import hashlib
import hmac
import json
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlencode

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509.oid import NameOID

BASE = "https://marketing.example.org"
TOPIC = "arn:aws:sns:eu-central-1:123456789012:ses"
CERTIFICATE_URL = "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-0a1b.pem"
FORM = "application/x-www-form-urlencoded"


@dataclass
class Call:
    """A request: its address, body and headers."""

    path: str
    body: bytes
    headers: dict[str, str]


@dataclass
class Signer:
    """The keys of one test; a signer with other keys is a forger."""

    word: str = "ours"
    tokens: int = 0
    sns_calls: list[str] = field(default_factory=list)

    @cached_property
    def sendgrid_key(self) -> ec.EllipticCurvePrivateKey:
        return ec.generate_private_key(ec.SECP256R1())

    @cached_property
    def sns_key(self) -> rsa.RSAPrivateKey:
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    @property
    def settings(self) -> dict[str, str]:
        """The settings of an installation that knows these keys, and former ones."""
        public = self.sendgrid_key.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        return {
            "public_url": BASE,
            "hook_sendgrid_key": base64.b64encode(public).decode(),
            "hook_mailgun_key": f"former-key, {self.word}-mailgun",
            "hook_postmark_user": "postmark",
            "hook_postmark_password": f"{self.word}-postmark",
            "hook_ses_topics": f"arn:aws:sns:eu-central-1:1:other,{TOPIC}",
            "hook_mandrill_key": f"former-key,{self.word}-mandrill",
            "hook_twilio_token": f"{self.word}-twilio",
            "hook_generic_secret": f"whsec_{base64.b64encode(self.word.encode()).decode()}",
        }

    def sendgrid(self, elements: Any) -> Call:
        body = json.dumps(elements).encode()
        at = "1772368200"
        signature = self.sendgrid_key.sign(at.encode() + body, ec.ECDSA(hashes.SHA256()))
        return Call(
            "/hooks/sendgrid",
            body,
            {
                "X-Twilio-Email-Event-Webhook-Signature": base64.b64encode(signature).decode(),
                "X-Twilio-Email-Event-Webhook-Timestamp": at,
            },
        )

    def mailgun(self, event: Any, token: str | None = None) -> Call:
        body = json.dumps({"signature": self._mailgun(token), "event-data": event}).encode()
        return Call("/hooks/mailgun", body, {"Content-Type": "application/json"})

    def mailgun_form(self, fields: dict[str, str], *, multipart: bool = False) -> Call:
        """A call as former releases of Mailgun made it."""
        fields = {**fields, **self._mailgun(None)}
        if not multipart:
            return Call("/hooks/mailgun", urlencode(fields).encode(), {"Content-Type": FORM})
        lines = [
            f'--b0\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
            for name, value in fields.items()
        ]
        kind = {"Content-Type": "multipart/form-data; boundary=b0"}
        return Call("/hooks/mailgun", ("".join(lines) + "--b0--\r\n").encode(), kind)

    def _mailgun(self, token: str | None) -> dict[str, str]:
        self.tokens += 1
        token, at = token or f"token-{self.tokens}", "1772368200"
        mac = hmac.new(f"{self.word}-mailgun".encode(), f"{at}{token}".encode(), hashlib.sha256)
        return {"timestamp": at, "token": token, "signature": mac.hexdigest()}

    def postmark(self, element: Any) -> Call:
        credentials = base64.b64encode(f"postmark:{self.word}-postmark".encode()).decode()
        return Call(
            "/hooks/postmark",
            json.dumps(element).encode(),
            {"Authorization": f"Basic {credentials}"},
        )

    def mandrill(self, elements: Any) -> Call:
        fields = {"mandrill_events": json.dumps(elements)}
        url = f"{BASE}/hooks/mandrill"
        return Call(
            "/hooks/mandrill",
            urlencode(fields).encode(),
            {
                "X-Mandrill-Signature": self._of_form(f"{self.word}-mandrill", url, fields),
                "Content-Type": FORM,
            },
        )

    def twilio(self, fields: dict[str, str], query: str = "") -> Call:
        path = f"/hooks/twilio{query}"
        return Call(
            path,
            urlencode(fields).encode(),
            {
                "X-Twilio-Signature": self._of_form(f"{self.word}-twilio", BASE + path, fields),
                "Content-Type": FORM,
            },
        )

    @staticmethod
    def _of_form(key: str, url: str, fields: dict[str, str]) -> str:
        signed = url + "".join(f"{name}{value}" for name, value in sorted(fields.items()))
        return base64.b64encode(
            hmac.new(key.encode(), signed.encode(), hashlib.sha1).digest()
        ).decode()

    def generic(self, elements: Any, at: dt.datetime) -> Call:
        body, second = json.dumps(elements).encode(), str(int(at.timestamp()))
        signed = f"msg_1.{second}.".encode() + body
        mac = base64.b64encode(hmac.new(self.word.encode(), signed, hashlib.sha256).digest())
        return Call(
            "/hooks/generic",
            body,
            {
                "webhook-id": "msg_1",
                "webhook-timestamp": second,
                "webhook-signature": f"v1a,other v1,{mac.decode()}",
            },
        )

    def ses(self, event: Any, version: str = "2", **fields: str) -> Call:
        """A notification of SNS that carries an event of SES."""
        notification = {
            "Type": "Notification",
            "MessageId": "19ba9823-d7f2-53c1-860e-cb10e0d13dfc",
            "TopicArn": TOPIC,
            "Subject": "Amazon SES Email Event Notification",
            "Message": json.dumps(event),
            "Timestamp": "2026-03-01T12:00:00.675Z",
            "SignatureVersion": version,
            "SigningCertURL": CERTIFICATE_URL,
            **fields,
        }
        names = ["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
        if notification["Type"] != "Notification":
            names = ["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn"]
            names.append("Type")
        signed = "".join(f"{name}\n{notification[name]}\n" for name in names)
        algorithm = hashes.SHA1() if version == "1" else hashes.SHA256()  # noqa: S303
        signature = self.sns_key.sign(signed.encode(), padding.PKCS1v15(), algorithm)
        notification["Signature"] = base64.b64encode(signature).decode()
        kind = {"Content-Type": "text/plain; charset=UTF-8"}
        return Call("/hooks/ses", json.dumps(notification).encode(), kind)

    @cached_property
    def certificate(self) -> bytes:
        """The certificate that SNS publishes."""
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
        return (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(name)
            .public_key(self.sns_key.public_key())
            .serial_number(1)
            .not_valid_before(dt.datetime(2026, 1, 1))
            .not_valid_after(dt.datetime(2036, 1, 1))
            .sign(self.sns_key, hashes.SHA256())
            .public_bytes(serialization.Encoding.PEM)
        )
