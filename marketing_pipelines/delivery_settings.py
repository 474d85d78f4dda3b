"""Settings of outgoing messages: their servers and their permitted recipients."""

import re

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings


class DeliverySettings(BaseSettings):
    """The servers of outgoing messages."""

    smtp_url: str | None = Field(
        default=None,
        repr=False,
        description="Server of outgoing mail: `smtp://user:password@host:587` (STARTTLS, unless "
        "`?tls=off`) or `smtps://user:password@host`; user and password percent-encoded. "
        "`provider=` `sendgrid`, `mailgun`, `postmark`, `ses`, `mandrill` or `none` where the "
        "host's name does not tell. Unset: mails are files in development and wait elsewhere.",
    )
    sms_url: str | None = Field(
        default=None,
        repr=False,
        description="Service of text messages: `twilio+https://SID:TOKEN@api.twilio.com?from=%2B49…`"
        ", or `from=MG…` of a messaging service. Unset: as for mail.",
    )
    push_url: str | None = Field(
        default=None,
        description="Service of push notifications: "
        "`fcm+https://fcm.googleapis.com/v1/projects/P?credentials=FILE` with the key file of a "
        "service account. Unset: as for mail.",
    )
    delivery_allow: str | None = Field(
        default=None,
        description="Addresses that get messages in staging: patterns, comma separated, as "
        "`*@example.org,+4930*`. Unset: none.",
    )
    mail_from: str | None = Field(
        default=None,
        description="Sender of mails to users, such as `crm@example.org`, where their organization "
        "has no sending domain. Unset: these mails fail.",
    )
    breaker_failures: int = Field(
        default=20,
        ge=1,
        description="Faults in a row, of all workers, after which a server of messages gets none "
        "for five minutes.",
    )
    redis_url: str | None = Field(
        default=None,
        repr=False,
        description="Redis or Valkey that gets the day's mail counts of domains under warm-up, for "
        "other services: `redis://` or `rediss://user:password@host:port/0`. Unset: none.",
    )

    @field_validator("mail_from")
    @classmethod
    def _is_an_address(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+", value):
            raise ValueError("it does not look like crm@example.org")
        return value

    @field_validator("redis_url")
    @classmethod
    def _names_a_redis(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"rediss?://[^/\s]+(/\d*)?", value):
            raise ValueError("it does not look like redis://host:6379/0")
        return value
