"""The systems that a connection can lead to, each with its settings and secrets."""

import datetime as dt
import ipaddress
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
    model_validator,
)

from marketing_pipelines.domains.crm.tables import LEAD_STATUSES
from marketing_pipelines.domains.integrations.google_keys import read_key
from marketing_pipelines.failures import BadInputError

MAX_LENGTH = 500


def _whole_url(url: str) -> str:
    """Accepts `https://host/path`, and `http://` on loopback."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError("it is no URL such as https://api.example.org") from error
    if parts.scheme not in ("https", "http") or not parts.hostname or port == 0:
        raise ValueError("it is no URL such as https://api.example.org")
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        raise ValueError("http:// is for loopback only: write https://")
    if parts.username is not None or parts.query or parts.fragment or re.search(r"\s", url):
        raise ValueError("it holds more than host and path: keys have fields of their own")
    return url


def _base_url(url: str) -> str:
    return _whole_url(url).rstrip("/")


def is_loopback(host: str) -> bool:
    """Returns true if a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


BaseUrl = Annotated[str, Field(max_length=MAX_LENGTH), AfterValidator(_base_url)]
WholeUrl = Annotated[str, Field(max_length=MAX_LENGTH), AfterValidator(_whole_url)]
Secret = Annotated[SecretStr, Field(min_length=1, max_length=10_000)]
ShortText = Annotated[str, Field(min_length=1, max_length=MAX_LENGTH)]
OwnName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9@._+-]*$", max_length=200)]
Rate = Annotated[float, Field(gt=0, le=10_000)]


class ProviderFields(BaseModel):
    """The fields of a connection; those of type `SecretStr` are its secrets."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    # A login belongs to the system of this field: another one needs its secrets or grant again.
    bound_to: ClassVar[str] = "url"
    # The field that tells several connections of an organization apart.
    named_by: ClassVar[str | None] = None
    # The secret that its system replaces: one that a person gave stays replaced when given again.
    renewed: ClassVar[str | None] = None
    # The secret that its system issues for the others: another one is got after a change.
    issued: ClassVar[str | None] = None


class EnrichmentFields(ProviderFields):
    """A service that completes contacts, shaped like Apollo's."""

    url: BaseUrl = Field(default="https://api.apollo.io", description="Base address")
    api_key: Secret = Field(description="Key, sent as `X-Api-Key`")
    per_minute: Rate = Field(default=50, description="Calls a minute, of ten contacts each")


class ContentServiceFields(ProviderFields):
    """A service that lists destinations with their web pages."""

    url: BaseUrl = Field(description="Base address; `/destinations` is appended")
    token: Secret | None = Field(default=None, description="Bearer token; none = it asks for none")


MAPPING = {
    "FirstName": "first_name",
    "LastName": "last_name",
    "EmailAddress": "email",
    "Phone": "phone",
    "ProspectStage": "lead_status",
}
# The load decides over these columns.
_OWN_COLUMNS = frozenset({"external_id", "organization_id", "source", "created_at"})


class LeadSquaredFields(ProviderFields):
    """A LeadSquared account."""

    url: BaseUrl = Field(description="API host of the account's region")
    access_key: Secret = Field(description="Access key")
    secret_key: Secret = Field(description="Secret key")
    per_5_seconds: Rate = Field(default=5, description="Calls in five seconds")
    since: dt.date = Field(
        default=dt.date(2000, 1, 1),
        description="The first synchronization reads leads modified from this day on",
    )
    mapping: dict[ShortText, ShortText] = Field(
        default=MAPPING,
        description="Field of a lead → column of `load contacts`, or else attribute",
    )
    statuses: dict[ShortText, ShortText] = Field(
        default={},
        description="Stage of a lead → `lead_status`, where the two are not the same word; case "
        "does not matter",
    )

    @model_validator(mode="after")
    def _maps_free_columns(self) -> "LeadSquaredFields":
        targets = list(self.mapping.values())
        if taken := sorted(_OWN_COLUMNS.intersection(targets)):
            raise ValueError(f"mapping cannot fill {taken[0]}")
        if unknown := sorted(set(self.statuses.values()).difference(LEAD_STATUSES)):
            raise ValueError(
                f"statuses leads to '{unknown[0]}', which is none of {', '.join(LEAD_STATUSES)}"
            )
        if twice := sorted({name for name in targets if targets.count(name) > 1}):
            raise ValueError(f"mapping fills {twice[0]} twice")
        return self


class SmtpFields(ProviderFields):
    """The mail server of one sending domain."""

    bound_to = "host"
    named_by = "domain"

    domain: Annotated[str, Field(pattern=r"^[a-z0-9-]+(\.[a-z0-9-]+)+$", max_length=253)] = Field(
        description="Sending domain, lower case"
    )
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$", max_length=253)] = Field(
        description="Server"
    )
    port: Annotated[int, Field(ge=1, le=65_535)] = Field(default=587, description="Port")
    security: Literal["starttls", "tls", "off"] = Field(
        default="starttls", description="`starttls`, `tls` from the first byte, or `off`"
    )
    user: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, pattern=r"^[ -~]+$")] | None = (
        Field(default=None, description="User; none = no login")
    )
    password: Secret | None = Field(default=None, description="Password of the user")
    provider: Literal["sendgrid", "mailgun", "postmark", "ses", "mandrill", "none"] | None = Field(
        default=None, description="The service behind it; none = by the server's name"
    )

    @model_validator(mode="after")
    def _has_a_whole_login(self) -> "SmtpFields":
        if (self.user is None) != (self.password is None):
            raise ValueError("user and password go together")
        if self.password is not None and not self.password.get_secret_value().isascii():
            raise ValueError("password must be ASCII")
        return self


class GoogleFields(ProviderFields):
    """An account of Google that may read sheets of forms."""

    named_by = "name"

    name: OwnName | None = Field(
        default=None, description="Name, where an organization has several of them"
    )
    url: BaseUrl = Field(default="https://sheets.googleapis.com", description="Base address")
    key: Secret | None = Field(
        default=None, description="Key of a service account: the JSON file as Google gives it"
    )
    grant: ShortText | None = Field(
        default=None, description="Name of a connection `oauth`, in place of a key"
    )
    per_minute: Rate = Field(default=60, description="Calls a minute")

    @field_validator("key", mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        return json.dumps(given) if isinstance(given, dict) else given

    @model_validator(mode="after")
    def _has_one_login(self) -> "GoogleFields":
        if (self.key is None) == (self.grant is None):
            raise ValueError("it needs either key or grant")
        if self.key is not None:
            _whole_url(read_key(self.key.get_secret_value())["token_uri"])
        return self

    @property
    def account(self) -> str | None:
        """The address of the service account, with which sheets are shared; None: a grant."""
        return None if self.key is None else read_key(self.key.get_secret_value())["client_email"]


class OAuthFields(ProviderFields):
    """The grant of an account at an OAuth provider, which mailboxes and forms name."""

    bound_to = "token_url"
    named_by = "name"
    renewed = "refresh_token"
    issued = "access_token"

    name: OwnName = Field(
        description="Name by which mailboxes and forms name the grant, such as `google-ann`"
    )
    token_url: WholeUrl = Field(description="Token endpoint of the provider")
    client_id: Annotated[str, Field(pattern=r"^[ -~]+$", max_length=MAX_LENGTH)] = Field(
        description="Application that the provider knows"
    )
    client_secret: Secret | None = Field(
        default=None, description="Secret of the application; none = it is a public client"
    )
    scopes: Annotated[
        list[Annotated[str, Field(pattern=r"^[!#-\[\]-~]+$", max_length=MAX_LENGTH)]],
        Field(max_length=50),
    ] = Field(default=[], description="Scopes to ask for at each refresh; none = all that it has")
    auth: Literal["basic", "post"] = Field(
        default="post",
        description="Client id and secret in the header `Authorization` (`basic`) or in the form",
    )
    owner: ShortText | None = Field(
        default=None,
        description="User (external id) that is notified; none = the organization's admins",
    )
    refresh_token: Secret = Field(description="Refresh token; the newest is kept")
    access_token: Secret | None = Field(
        default=None, description="Access token, taken to be valid for an hour; none = one is got"
    )

    @model_validator(mode="after")
    def _can_authenticate(self) -> "OAuthFields":
        if self.auth == "basic" and self.client_secret is None:
            raise ValueError("auth basic needs client_secret")
        return self


_DOMAIN = r"[a-z0-9-]+(\.[a-z0-9-]+)+"
LowerDomain = Annotated[str, Field(pattern=rf"^{_DOMAIN}$", max_length=253)]
LowerAddress = Annotated[str, Field(pattern=rf"^[^@\sA-Z<>,;]+@{_DOMAIN}$", max_length=320)]
# A whole address, a domain, or either with `*` for any characters.
Exclusion = Annotated[str, Field(pattern=r"^[^\s<>,;]+$", min_length=3, max_length=320)]


class ImapFields(ProviderFields):
    """A mailbox, read over IMAP."""

    bound_to = "host"
    named_by = "address"

    address: LowerAddress = Field(description="Address of the mailbox, lower case")
    owner: ShortText | None = Field(
        default=None, description="External id of the user whose mailbox it is"
    )
    host: Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]+$", max_length=253)] = Field(
        description="Server"
    )
    port: Annotated[int, Field(ge=1, le=65_535)] | None = Field(
        default=None, description="Port; default: 993 with `implicit`, else 143"
    )
    tls: Literal["implicit", "starttls", "off"] = Field(
        default="implicit",
        description="`implicit` from the first byte, `starttls`, or `off`, for loopback only",
    )
    user: Annotated[str, Field(min_length=1, max_length=MAX_LENGTH, pattern=r"^[ -~]+$")] | None = (
        Field(default=None, description="User; default: the address")
    )
    password: Secret | None = Field(default=None, description="Password, or one of an application")
    grant: ShortText | None = Field(
        default=None, description="Id of a connection `oauth`, in place of a password (XOAUTH2)"
    )
    folders: Annotated[list[ShortText], Field(max_length=50)] = Field(
        default=[],
        description="Folders to read; default: all mail of Gmail, elsewhere INBOX and sent mail",
    )
    since_days: Annotated[int, Field(ge=0, le=3_650)] = Field(
        default=30,
        description="Days of mail before the first synchronization; a later value changes nothing",
    )
    contacts: Literal["existing", "create_for_sent", "create_all"] = Field(
        default="existing",
        description="`create_for_sent` makes contacts of those the owner writes to, `create_all` "
        "also of senders",
    )
    exclude: Annotated[list[Exclusion], Field(max_length=1_000)] = Field(
        default=[],
        description="Mail from or to these is not stored: addresses, domains with their "
        "subdomains, or patterns with `*`",
    )
    internal: Annotated[list[LowerDomain], Field(max_length=100)] = Field(
        default=[], description="Own domains, lower case: mail among them only is not stored"
    )
    keep_raw_days: Annotated[int, Field(ge=0, le=36_500)] = Field(
        default=365, description="Days that the mails as they arrived are kept; 0 = for ever"
    )
    share: Literal["metadata", "subject", "full"] = Field(
        default="full",
        description="`metadata` stores neither subject nor text, `subject` no text, `full` all",
    )

    @model_validator(mode="after")
    def _can_log_in(self) -> "ImapFields":
        if (self.password is None) == (self.grant is None):
            raise ValueError("it needs either password or grant")
        password = self.password.get_secret_value() if self.password else ""
        if any(ord(one) < 32 or ord(one) == 127 for one in password):
            raise ValueError("password holds a control character")
        if self.tls == "off" and not is_loopback(self.host):
            raise ValueError("tls off is for loopback only: use implicit or starttls")
        return self


@dataclass(frozen=True)
class Provider:
    """One kind of system.

    Attributes:
        is_synchronized: True if a job reads from it; the others are used when they are needed.
    """

    name: str
    fields: type[ProviderFields]
    is_synchronized: bool = True

    @property
    def secrets(self) -> frozenset[str]:
        """The names of the fields that are secret."""
        return frozenset(
            name
            for name, field in self.fields.model_fields.items()
            if "SecretStr" in str(field.annotation)
        )

    @property
    def logins(self) -> frozenset[str]:
        """The names of the fields that are secret, or name a grant whose tokens are."""
        return self.secrets | {"grant"} & self.fields.model_fields.keys()

    def validated(self, values: dict[str, Any]) -> ProviderFields:
        """The fields of a connection.

        Raises:
            BadInputError: a field is unknown, missing or wrong; the sentence repeats no value.
        """
        try:
            return self.fields.model_validate(values)
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            name = ".".join(str(part) for part in first["loc"])
            reason = first["msg"].removeprefix("Value error, ")
            if first["type"] == "extra_forbidden":
                known = ", ".join(self.fields.model_fields)
                raise BadInputError(
                    f"{self.name} has no field '{name}': its fields are {known}."
                ) from None
            if first["type"] == "missing":
                raise BadInputError(f"{self.name} needs the field {name}.") from None
            place = f" {name}" if name else ""
            raise BadInputError(f"{self.name}{place} cannot be used: {reason}.") from None


ENRICHMENT = Provider("enrichment", EnrichmentFields)
CONTENT_SERVICE = Provider("content_service", ContentServiceFields)
LEADSQUARED = Provider("leadsquared", LeadSquaredFields)
SMTP = Provider("smtp", SmtpFields, is_synchronized=False)
OAUTH = Provider("oauth", OAuthFields)
IMAP = Provider("imap", ImapFields)
GOOGLE = Provider("google", GoogleFields)
PROVIDERS = {
    one.name: one for one in (ENRICHMENT, CONTENT_SERVICE, LEADSQUARED, SMTP, OAUTH, IMAP, GOOGLE)
}


def provider_of(name: str) -> Provider:
    """The provider of a name.

    Raises:
        BadInputError: there is none.
    """
    if name not in PROVIDERS:
        raise BadInputError(f"There is no provider '{name}': name one of {', '.join(PROVIDERS)}.")
    return PROVIDERS[name]
