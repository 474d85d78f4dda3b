"""The sender of a mail: its domain's, that of mails to users, and the address for its bounces."""

import re

import pytest

from marketing_pipelines.domains.delivery.bounce_addresses import bounce_address
from marketing_pipelines.domains.delivery.mail import write
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.test_warmup import domain
from marketing_pipelines_tests.delivery.world import NOW, Recorder, World


def message_to_a_user(world: World) -> int:
    """A transactional mail to a user of the organization."""
    [number] = world.messages(world.contacts(1))
    world.execute(
        "insert into crm.users (organization_id, external_id, name, email)"
        " values (:organization, 'ann', 'Ann', 'ann@acme.example')",
        organization=world.organization,
    )
    world.execute(
        "update delivery.messages set contact_id = null, kind = 'transactional',"
        " user_id = (select id from crm.users)"
    )
    return number


def in_production(monkeypatch: pytest.MonkeyPatch, **variables: str) -> None:
    monkeypatch.setenv("MARKETING_ENV", "production")
    monkeypatch.setenv("MARKETING_PUBLIC_URL", "https://m.example")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    get_settings.cache_clear()


def test_a_mail_to_a_user_comes_from_the_domain_of_its_organization_or_else_from_mail_from(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_production(monkeypatch, MARKETING_MAIL_FROM="crm@acme.example")
    message_to_a_user(world)
    [to_contact] = world.messages(world.contacts(1), step=2)
    transport = Recorder()
    world.send(transport=transport)
    [mail] = transport.taken
    assert mail.sender is not None
    assert (mail.recipient, mail.sender.address) == ("ann@acme.example", "crm@acme.example")
    state, reason = world.state(to_contact)
    assert state == "failed"
    assert "has no sending domain" in str(reason), "mail from is for users alone"

    domain(world)
    world.execute("update delivery.messages set state = 'queued', sent_at = null")
    world.send(transport=transport)
    assert {mail.sender.address for mail in transport.taken[1:] if mail.sender} == {"news@a.org"}


def test_without_domain_and_mail_from_a_mail_to_a_user_fails_with_both_names(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    in_production(monkeypatch)
    number = message_to_a_user(world)
    world.send(transport=Recorder())
    assert world.state(number) == (
        "failed",
        "Organization acme has no sending domain: load one with `marketing-pipelines load"
        " sending_domains FILE`, or set MARKETING_MAIL_FROM.",
    )


def test_bounces_come_back_to_an_address_that_names_the_message(world: World) -> None:
    world.execute(
        "update crm.organizations set settings ="
        """ '{"delivery": {"bounce_address": "bounces@b.acme.example"}}'"""
    )
    domain(world)
    world.messages(world.contacts(2))
    transport = Recorder()
    world.send(transport=transport, now=NOW)
    senders = [write(mail).sender for mail in transport.taken]
    for mail, sender in zip(transport.taken, senders, strict=True):
        assert re.fullmatch(rf"bounces\+{mail.id}\.[0-9a-f]{{16}}@b\.acme\.example", sender)
        assert b"From: Acme <news@a.org>" in write(mail).data
    assert len(set(senders)) == 2


def test_a_bounce_address_is_the_same_each_time_and_signed() -> None:
    address = bounce_address("bounces@x.org", 2**63 - 1, "a key")
    assert address == bounce_address("bounces@x.org", 2**63 - 1, "a key")
    assert address != bounce_address("bounces@x.org", 2**63 - 1, "another key")
    assert len("b" * 26 + address.partition("@")[0].removeprefix("bounces")) <= 64
