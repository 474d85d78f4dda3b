"""Tables of the schema `delivery`."""

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as pg

from marketing_pipelines.stores import intents
from marketing_pipelines.stores.ownership import EMPTIED, FOR_EVER, Keep, Person, owned
from marketing_pipelines.stores.tables import (
    identity,
    instant,
    json_object,
    metadata,
    one_of,
    organization_id,
)

CHANNELS = ("email", "sms", "push")
# Former releases sent webhooks as messages; a suppression may be of webhooks.
STORED_CHANNELS = (*CHANNELS, "webhook")
WARMUPS = ("auto", "off")
MESSAGE_KINDS = ("marketing", "transactional")
# The parts of a content that are templates.
TEXTS = ("subject", "title", "text", "html")
BOUNCES = ("hard", "soft")
REASONS = (
    "unsubscribed",
    "hard_bounce",
    "soft_bounce",
    "complaint",
    "do_not_contact",
    "erased",
)
STATES = (
    "queued",
    "claimed",
    "sent",
    "delivered",
    "bounced",
    "suppressed",
    "failed",
    "unknown",
)


def _channel(*more: str) -> list[sa.schema.SchemaItem]:
    names = (*STORED_CHANNELS, *more)
    return [
        sa.Column("channel", sa.Text, nullable=False, comment=", ".join(names)),
        sa.CheckConstraint(one_of("channel", names), name="channel"),
    ]


contents = sa.Table(
    "contents",
    metadata,
    identity("Content number"),
    organization_id(),
    sa.Column("digest", sa.Text, nullable=False, comment="Hash of the content"),
    sa.Column("content", pg.JSONB, nullable=False, comment="Subject, text and so on, by channel"),
    instant(
        "used_at",
        "Latest time that messages with it were written, to the hour",
        nullable=False,
        server_default=sa.func.now(),
    ),
    sa.UniqueConstraint("organization_id", "digest"),
    sa.Index("ix_contents_used_at", "used_at"),
    info=owned(
        keep=Keep(
            "used_at",
            days=180,
            where="id not in "
            "(select content_id from delivery.messages where state in ('queued', 'claimed'))",
        )
    ),
    schema="delivery",
    comment="Contents of messages, each stored once; never changed",
)

sending_domains = sa.Table(
    "sending_domains",
    metadata,
    identity("Domain number"),
    organization_id(),
    sa.Column("domain", sa.Text, nullable=False, comment="Domain name, lower case"),
    sa.Column("from_address", sa.Text, nullable=False, comment="Sender of its mails"),
    sa.Column("from_name", sa.Text, comment="Name of the sender; null = the organization's"),
    sa.Column("reply_to", sa.Text, comment="Address for replies; null = the sender"),
    json_object("headers", "Further headers of its mails, by name"),
    sa.Column(
        "is_default",
        sa.Boolean,
        nullable=False,
        server_default=sa.text("false"),
        comment="True if mails that name no domain are sent from it; one per organization",
    ),
    sa.Column(
        "warmup",
        sa.Text,
        nullable=False,
        server_default="auto",
        comment="auto = the ramp limits its first 30 days; off = no limit",
    ),
    sa.Column("warmup_started_on", sa.Date, comment="Day of its first mail under warm-up"),
    sa.Column(
        "per_second",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Most mails in any second over all workers; 0 = no limit",
    ),
    instant("paused_until", "No mail before this"),
    instant("next_start_at", "Earliest start of its next mail, where a rate limits it"),
    instant("created_at", "First load", nullable=False, server_default=sa.func.now()),
    sa.UniqueConstraint("organization_id", "domain"),
    sa.CheckConstraint(one_of("warmup", WARMUPS), name="warmup"),
    sa.CheckConstraint("per_second >= 0", name="per_second"),
    info=owned(keep=FOR_EVER),
    schema="delivery",
    comment="Domains that organizations send mail from",
)

warmup_reservations = sa.Table(
    "warmup_reservations",
    metadata,
    sa.Column("domain_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Domain"),
    sa.Column("day", sa.Date, primary_key=True, comment="Day in the reporting zone"),
    sa.Column("reserved", sa.Integer, nullable=False, comment="Places that claims have taken"),
    sa.Column("sent", sa.Integer, comment="Mails handed over, counted when the day is closed"),
    instant("closed_at", "Tick that closed the day; null = open"),
    sa.Index("ix_warmup_reservations_day", "day"),
    info=owned(keep=Keep("day", days=400)),
    schema="delivery",
    comment="Mails of each day of each domain under warm-up",
)

lines = sa.Table(
    "lines",
    metadata,
    sa.Column("name", sa.Text, primary_key=True, comment="Server, such as smtp://host:587"),
    sa.Column("failures", sa.Integer, nullable=False, comment="Faults in a row, of all workers"),
    sa.Column("openings", sa.Integer, nullable=False, comment="Openings of the breaker in a row"),
    instant("open_until", "No message before this; then one tries"),
    instant("opened_at", "When the breaker opened; null = closed"),
    sa.Column("last_error", sa.Text, comment="Latest fault"),
    sa.Column("ceiling", sa.Float, comment="Most messages a second, since it asked for fewer"),
    instant("ceiling_until", "When the ceiling ends"),
    instant("next_start_at", "Earliest start of its next message, where a ceiling limits it"),
    info=owned(keep=FOR_EVER, mentions=("last_error",)),
    schema="delivery",
    comment="Servers that take messages, with their faults",
)

messages = sa.Table(
    "messages",
    metadata,
    identity("Message number"),
    organization_id(),
    *_channel(),
    sa.Column("contact_id", sa.BigInteger, comment="Contact; null = it goes to a user"),
    sa.Column("user_id", sa.BigInteger, comment="User; null = it goes to a contact"),
    sa.Column(
        "address",
        sa.Text,
        comment="Normalised address; null = that of the contact or user when claimed",
    ),
    sa.Column(
        "kind",
        sa.Text,
        nullable=False,
        server_default="marketing",
        comment="marketing or transactional",
    ),
    sa.Column(
        "priority",
        sa.Integer,
        nullable=False,
        server_default=sa.text("0"),
        comment="Higher first among the messages of a lane, -100 to 100",
    ),
    sa.Column(
        "domain_id", sa.BigInteger, comment="Sending domain; null = the organization's default"
    ),
    sa.Column("reserved_on", sa.Date, comment="Day of warm-up on which it holds a place"),
    sa.Column(
        "program_kind", sa.Text, comment="campaign, sequence or journey; null = an application"
    ),
    sa.Column("program_id", sa.BigInteger, comment="Number of the program within its kind"),
    sa.Column("step_id", sa.BigInteger, comment="Step that sends it"),
    sa.Column("rotation", sa.Integer, comment="Rotation of the contact in the program"),
    sa.Column("idempotency_key", sa.Text, comment="Key of the request that wrote it"),
    sa.Column(
        "content_id", sa.BigInteger, nullable=False, comment="Its content; old ones are gone"
    ),
    sa.Column("variables", pg.JSONB, comment="Fields of its templates that the caller gave"),
    sa.Column(
        "category_id", sa.BigInteger, comment="Category; null = the organization's default one"
    ),
    *intents.columns("queued or claimed"),
    instant("queued_at", "Tick at which it was written", nullable=False),
    instant(
        "expires_at",
        "Not sent from then on, 9999-12-31 = sent whenever; null = `queued_at` plus the"
        " organization's `delivery.valid_for`",
    ),
    instant("claimed_at", "Latest claim; caps count from it"),
    instant("sent_at", "When the transport accepted it"),
    sa.Column("bounce", sa.Text, comment="hard or soft, of a bounced message"),
    sa.Column("provider_message_id", sa.Text, comment="Id that the server gave it"),
    instant("refused_at", "When its recipient was first refused for now"),
    sa.Column(
        "refusals",
        sa.SmallInteger,
        nullable=False,
        server_default=sa.text("0"),
        comment="Number of refusals of its recipient for now",
    ),
    sa.Column(
        "is_bulk",
        sa.Boolean,
        nullable=False,
        server_default=sa.text("false"),
        comment="True if it is one of many, of a newsletter or request: two attempts, not three",
    ),
    sa.UniqueConstraint("step_id", "contact_id", "rotation"),
    sa.UniqueConstraint("step_id", "rotation", "address"),
    sa.CheckConstraint(one_of("state", STATES), name="state"),
    sa.CheckConstraint(one_of("kind", MESSAGE_KINDS), name="kind"),
    sa.CheckConstraint("num_nonnulls(contact_id, user_id) = 1", name="recipient"),
    sa.CheckConstraint("user_id is null or kind = 'transactional'", name="kind_to_user"),
    sa.CheckConstraint("priority between -100 and 100", name="priority"),
    sa.CheckConstraint(one_of("bounce", BOUNCES), name="bounce"),
    sa.Index(
        "ix_messages_idempotency_key",
        "organization_id",
        "idempotency_key",
        postgresql_where=sa.text("idempotency_key is not null"),
    ),
    sa.Index(
        "ix_messages_queued",
        "channel",
        "organization_id",
        sa.text("coalesce(domain_id, 0)"),
        "kind",
        sa.text("coalesce(program_kind, '')"),
        sa.text("coalesce(program_id, 0)"),
        sa.text("(- priority)"),
        "due_at",
        "id",
        postgresql_where=sa.text("state = 'queued'"),
    ),
    sa.Index(
        "ix_messages_leased",
        "channel",
        "leased_until",
        postgresql_where=sa.text("state = 'claimed'"),
    ),
    sa.Index("ix_messages_sent", "sent_at", postgresql_where=sa.text("sent_at is not null")),
    sa.Index(
        "ix_messages_reserved",
        "reserved_on",
        "domain_id",
        postgresql_where=sa.text("reserved_on is not null"),
    ),
    sa.Index(
        "ix_messages_provider_message_id",
        "provider_message_id",
        postgresql_where=sa.text("provider_message_id is not null"),
    ),
    sa.Index(
        "ix_messages_contact",
        "contact_id",
        "channel",
        "claimed_at",
        postgresql_where=sa.text("claimed_at is not null"),
    ),
    sa.Index(
        "ix_messages_requested",
        "contact_id",
        postgresql_where=sa.text("step_id is null and claimed_at is null"),
    ),
    sa.Index(
        "ix_messages_address",
        "organization_id",
        "address",
        "channel",
        "sent_at",
        postgresql_where=sa.text("sent_at is not null"),
    ),
    info=owned(
        keep=FOR_EVER,
        person=Person(by="contact_id", erase="empty", mask=("address", "variables")),
        # The variables of a mail to a user have what notifications say of contacts.
        mentions=("reason", "idempotency_key", "variables"),
    ),
    schema="delivery",
    comment="Messages: the intent to send each, and its result",
)

handovers = sa.Table(
    "handovers",
    metadata,
    sa.Column(
        "message_id", sa.BigInteger, primary_key=True, autoincrement=False, comment="Message"
    ),
    sa.Column(
        "claim",
        sa.BigInteger,
        primary_key=True,
        autoincrement=False,
        comment="Its claim, `messages.claim`",
    ),
    instant("leased_until", "When it counts as given up, if it has not ended", nullable=False),
    sa.Column(
        "ended", pg.JSONB, comment="How it ended, to be settled; null = that is not known yet"
    ),
    info=owned(
        keep=EMPTIED,
        person=Person(by="message_id", of="delivery.messages", erase="keep", export=False),
        mentions=("ended",),
    ),
    schema="delivery",
    comment="Claimed messages whose handing-over began and that are not settled yet",
)

suppressions = sa.Table(
    "suppressions",
    metadata,
    identity("Row number"),
    organization_id(),
    sa.Column("contact_id", sa.BigInteger, comment="Contact that it holds for"),
    sa.Column("address", sa.Text, comment="Normalised address that it holds for"),
    sa.Column("address_hash", sa.Text, comment="Keyed hash of an erased address"),
    *_channel("all"),
    sa.Column("reason", sa.Text, nullable=False, comment=", ".join(REASONS)),
    instant("since", "When it became so", nullable=False),
    instant("until", "When it ends; null = never"),
    sa.Column(
        "source",
        sa.Text,
        comment="event, bounce, file, or contact: it spread from a contact that has the address",
    ),
    sa.UniqueConstraint("contact_id", "channel", "reason"),
    sa.UniqueConstraint("organization_id", "address", "channel", "reason"),
    sa.UniqueConstraint("organization_id", "address_hash", "channel"),
    sa.CheckConstraint(one_of("reason", REASONS), name="reason"),
    sa.CheckConstraint("num_nonnulls(contact_id, address, address_hash) = 1", name="holds_for"),
    sa.CheckConstraint("(address_hash is not null) = (reason = 'erased')", name="erased"),
    info=owned(
        keep=FOR_EVER,
        person=Person(by="contact_id", addresses=("address",), erase="delete"),
    ),
    schema="delivery",
    comment="Contacts and addresses that must not be written to, by channel, with the reason",
)
