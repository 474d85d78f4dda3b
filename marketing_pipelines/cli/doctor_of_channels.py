"""The lines of `doctor` about the servers that take messages, and about the model."""

import datetime as dt

import dns.resolver
import sqlalchemy as sa

from marketing_pipelines.cli.session import connected
from marketing_pipelines.domains.delivery import lines, own_servers
from marketing_pipelines.domains.delivery.composing import NEEDS_HTTPS
from marketing_pipelines.domains.delivery.mail_records import (
    NoDnsError,
    mail_records,
    own_resolver,
)
from marketing_pipelines.domains.delivery.tables import sending_domains
from marketing_pipelines.domains.delivery.transports.choice import (
    SETTINGS,
    server_of,
    transport_of,
    url_of,
)
from marketing_pipelines.domains.delivery.transports.outbox import Outbox
from marketing_pipelines.domains.delivery.transports.outcomes import LineError
from marketing_pipelines.domains.delivery.warmup_mirror import Mirror
from marketing_pipelines.domains.integrations import connections
from marketing_pipelines.domains.integrations.providers import SMTP
from marketing_pipelines.domains.sales.assistant.model import Model, ModelError
from marketing_pipelines.failures import ConfigurationError, PermanentError
from marketing_pipelines.settings import Settings

CHANNELS = tuple(SETTINGS)
_SENDERS = sa.text("""
    select distinct domain.domain,
        split_part(
            coalesce(
                organization.settings #>> '{delivery,bounce_address}', domain.from_address
            ),
            '@', 2
        )
    from delivery.sending_domains as domain
    join crm.organizations as organization on organization.id = domain.organization_id
    order by 1, 2
""")

_WAITING = sa.text("""
    select coalesce(sum(number), 0)::bigint
    from (
        select organization_id, domain_id, count(*) as number
        from delivery.messages
        where channel = :channel and state = 'queued'
        group by organization_id, domain_id
    ) as queued
    where cast(:channel as text) <> 'email'
        or delivery.own_server(organization_id, domain_id) is null
""")


def check_channel(settings: Settings, channel: str) -> str:
    """Connects to the server of a channel and logs in; no message is sent.

    Raises:
        ConfigurationError: its messages cannot go out; the sentence says why.
    """
    name, url = SETTINGS[channel], url_of(settings, channel)
    if url is None:
        if settings.env == "development":
            return f"{name} is not set: messages are files in {settings.outbox_folder}"
        waiting = _waiting(channel)
        if channel != "email" and not waiting:
            return f"{name} is not set, and no message waits for it"
        raise ConfigurationError(
            f"{name} is not set: {waiting:,} messages of the channel {channel} wait for it."
        )
    transport = transport_of(settings, channel)
    if isinstance(transport, Outbox):
        return f"development sends to loopback only: messages are files in {settings.outbox_folder}"
    server = server_of(settings, channel, url)
    try:
        answer = server.check()
    except LineError as error:
        raise ConfigurationError(f"{str(error).rstrip('.')}: check {name}.") from error
    finally:
        server.close()
    problems = _problems(settings, channel, server.line)
    if problems:
        raise ConfigurationError(" ".join(problems))
    return f"{server.line} answers ({answer})"


def check_own_servers(settings: Settings) -> str:
    """Connects to the mail server of each domain that has its own, and logs in.

    Raises:
        ConfigurationError: one of them does not take mail; the sentence names its connection.
    """
    with connected() as (_, engine), engine.connect() as connection:
        found = connections.all_of(connection, SMTP)
    problems = []
    for one in found:
        try:
            own_servers.check(settings, one)
        except (LineError, PermanentError) as error:
            problems.append(f"{one.name}: {str(error).rstrip('.')}: set the connection anew.")
    if problems:
        raise ConfigurationError(" ".join(problems))
    return f"{len(found)} sending domains have a server of their own"


def _waiting(channel: str) -> int:
    with connected() as (_, engine), engine.connect() as connection:
        number: int = connection.execute(_WAITING, {"channel": channel}).scalar_one()
    return number


def _problems(settings: Settings, channel: str, line: str) -> list[str]:
    found = []
    is_https = (settings.public_url or "").startswith("https://")
    if channel == "email" and settings.env == "production" and not is_https:
        found.append(NEEDS_HTTPS)
    if settings.env == "staging" and not settings.delivery_allow:
        found.append("MARKETING_DELIVERY_ALLOW is not set: in staging nobody gets messages.")
    with connected() as (_, engine), engine.connect() as connection:
        broken = lines.broken(connection, line)
        if broken is not None:
            until = broken.open_until.astimezone(dt.UTC)
            found.append(
                f"Its breaker is open until {until:%Y-%m-%d %H:%M} UTC: {broken.last_error}."
            )
        if channel == "email" and settings.env != "development":
            domains = sa.select(sa.func.count()).select_from(sending_domains)
            if not connection.scalar(domains):
                found.append(
                    "No organization has a sending domain: load one with `marketing-pipelines "
                    "load sending_domains FILE`."
                )
    return found


def check_mail_domains(resolver: dns.resolver.Resolver | None = None) -> str:
    """The SPF and DMARC records of the sending domains.

    Args:
        resolver: None: the machine's own.

    Raises:
        ConfigurationError: a record is missing or does not fit; the sentences name the domains.
    """
    with connected() as (_, engine), engine.connect() as connection:
        domains = connection.execute(_SENDERS).all()
    if not domains:
        return "none"
    problems, known = [], []
    try:
        resolver = resolver or own_resolver()
        for name, envelope in domains:
            found = mail_records(resolver, name, envelope)
            problems += found.problems
            known.append(name)
    except NoDnsError:
        return f"DNS does not answer, so the records of {len(domains)} domains are not known"
    if problems:
        raise ConfigurationError(" ".join(problems))
    return f"SPF and DMARC of {', '.join(known)}"


def check_redis(url: str) -> str:
    """The version of the server that gets copies of counts.

    Raises:
        ConfigurationError: it does not answer.
    """
    import redis

    try:
        return f"version {Mirror(url).check()} gets the counts of domains under warm-up"
    except redis.RedisError as error:
        raise ConfigurationError(
            f"The server of MARKETING_REDIS_URL does not answer ({error}): nothing here needs it, "
            "but other services may."
        ) from error


def check_model(settings: Settings) -> str:
    """Asks the model for a word.

    Raises:
        ConfigurationError: its settings cannot be used, or it gives no answer.
    """
    model = Model.of(settings)
    if model is None:
        return "MARKETING_MODEL_URL is not set: rules write all texts"
    try:
        model.ask([{"role": "user", "content": "Answer with the word ok."}])
    except ModelError as error:
        raise ConfigurationError(
            f"Of MARKETING_MODEL_URL, {error}: rules write all texts until it does."
        ) from error
    return f"{model.name} answers"
