"""Settings of provider webhooks: one for each provider, several keys separated by commas."""

from pydantic import Field
from pydantic_settings import BaseSettings


def _key(description: str) -> str | None:
    # Unset, the provider's address answers 503 and stores nothing.
    found: str | None = Field(
        default=None, repr=False, description=f"{description} Unset: its webhook answers 503."
    )
    return found


class HookSettings(BaseSettings):
    """The keys by which webhooks of providers are known to be theirs."""

    hook_sendgrid_key: str | None = _key(
        "Public key of SendGrid's signed event webhook, base64, as its page shows it."
    )
    hook_mailgun_key: str | None = _key("HTTP webhook signing key of Mailgun.")
    hook_postmark_user: str | None = _key(
        "User name that Postmark's webhook sends, of basic authentication."
    )
    hook_postmark_password: str | None = _key("Password that Postmark's webhook sends.")
    hook_ses_topics: str | None = _key(
        "ARNs of the SNS topics that carry the events of Amazon SES, comma separated. Their "
        "subscriptions are confirmed by themselves."
    )
    hook_mandrill_key: str | None = _key(
        "Key of Mandrill's webhook; the URL that it signs is that of `MARKETING_PUBLIC_URL`."
    )
    hook_twilio_token: str | None = _key(
        "Auth token of Twilio, which signs its status callbacks, with their URL below "
        "`MARKETING_PUBLIC_URL`."
    )
    hook_generic_secret: str | None = _key(
        "Secret of `/hooks/generic` as Standard Webhooks write it, `whsec_…`."
    )
