"""Amazon SNS: the signature of a notification, and the confirmation of a subscription.

https://docs.aws.amazon.com/sns/latest/dg/sns-verify-signature-of-message.html
"""

import base64
import binascii
import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Mapping
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509 import load_pem_x509_certificate

from marketing_pipelines.domains.delivery.hooks.calls import ForgedCallError, HookCall
from marketing_pipelines.domains.delivery.hooks.events import text
from marketing_pipelines.failures import RetryableError

_HOST = r"https://sns\.[a-z0-9-]{1,40}\.amazonaws\.com(?:\.cn)?"
_CERTIFICATE = re.compile(rf"{_HOST}/SimpleNotificationService-[A-Za-z0-9]{{1,100}}\.pem")
_CONFIRMATION = re.compile(rf"{_HOST}/\?[!-~]{{1,2000}}")
_NOTIFICATION = ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type")
_SUBSCRIPTION = ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")
_SIGNED = {
    "Notification": _NOTIFICATION,
    "SubscriptionConfirmation": _SUBSCRIPTION,
    "UnsubscribeConfirmation": _SUBSCRIPTION,
}
_HASHES: Mapping[str, type[hashes.SHA1 | hashes.SHA256]] = {
    "1": hashes.SHA1,
    "2": hashes.SHA256,
}
TIMEOUT = 10.0
MAX_CERTIFICATE_BYTES = 100_000
MAX_CERTIFICATES = 50
_certificates: OrderedDict[str, rsa.RSAPublicKey] = OrderedDict()
_lock = threading.Lock()


def require_signature(
    call: HookCall, notification: Mapping[str, Any], topics: Collection[str]
) -> None:
    """Refuses a notification of another topic, or that SNS did not sign.

    The topic is read first: only a caller that knows one of ours makes us fetch a certificate.

    Raises:
        ForgedCallError: its topic is none of these, it has no valid signature, or its certificate
            lies elsewhere.
        RetryableError: the certificate cannot be fetched now.
    """
    names = _SIGNED.get(text(notification, "Type") or "")
    algorithm = _HASHES.get(text(notification, "SignatureVersion") or "")
    url = text(notification, "SigningCertURL") or ""
    if names is None or algorithm is None or not _CERTIFICATE.fullmatch(url):
        raise ForgedCallError(
            "The body is no signed notification of SNS: switch raw message delivery off."
        )
    if text(notification, "TopicArn") not in topics:
        raise ForgedCallError("The topic is not one of MARKETING_HOOK_SES_TOPICS.")
    signed = "".join(
        f"{name}\n{notification[name]}\n" for name in names if notification.get(name) is not None
    )
    try:
        signature = base64.b64decode(text(notification, "Signature") or "", validate=True)
        _key_at(call, url).verify(signature, signed.encode(), padding.PKCS1v15(), algorithm())
    except (InvalidSignature, binascii.Error):
        raise ForgedCallError("The signature is not that of SNS.") from None


def confirm(call: HookCall, notification: Mapping[str, Any]) -> None:
    """Confirms a subscription whose signature is valid.

    Raises:
        ForgedCallError: its address is not of SNS.
        RetryableError: SNS does not answer.
    """
    url = text(notification, "SubscribeURL") or ""
    if not _CONFIRMATION.fullmatch(url):
        raise ForgedCallError("The SubscribeURL is not of SNS.")
    _get(call, url)


def _key_at(call: HookCall, url: str) -> rsa.RSAPublicKey:
    """The key of a certificate, which is kept: SNS publishes a new one under a new address."""
    with _lock:
        known = _certificates.get(url)
    if known is not None:
        return known
    try:
        key = load_pem_x509_certificate(_get(call, url)).public_key()
    except ValueError:
        key = None
    if not isinstance(key, rsa.RSAPublicKey):
        raise ForgedCallError(f"{url} is no certificate of SNS.")
    with _lock:
        _certificates[url] = key
        while len(_certificates) > MAX_CERTIFICATES:
            _certificates.popitem(last=False)
    return key


def _get(call: HookCall, url: str) -> bytes:
    # For the calls of Amazon alone.
    import httpx2

    try:
        # Redirects are not followed: only SNS itself is believed.
        with (
            httpx2.Client(transport=call.transport, timeout=TIMEOUT) as client,
            client.stream("GET", url) as answer,
        ):
            answer.raise_for_status()
            found = bytearray()
            for chunk in answer.iter_bytes():
                found += chunk
                if len(found) > MAX_CERTIFICATE_BYTES:
                    raise ForgedCallError(f"{url} is too long.")
    except httpx2.HTTPError as error:
        raise RetryableError(
            f"SNS does not answer ({type(error).__name__}): it will call again."
        ) from error
    return bytes(found)
