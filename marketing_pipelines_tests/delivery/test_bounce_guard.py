"""A domain whose mails bounce too often is paused for a day, with one alert."""

import datetime as dt

from marketing_pipelines.domains.delivery.hooks.events import HookEvent
from marketing_pipelines.domains.delivery.hooks.recording import record
from marketing_pipelines.domains.delivery.hooks.verdicts import HARD
from marketing_pipelines.domains.delivery.rendering import Rendered
from marketing_pipelines.domains.delivery.transports.outcomes import BouncedError
from marketing_pipelines.settings import get_settings
from marketing_pipelines_tests.delivery.test_lines import alerts
from marketing_pipelines_tests.delivery.test_warmup import domain
from marketing_pipelines_tests.delivery.world import NOW, Recorder, World

DAY = dt.timedelta(days=1)


class Refusing(Recorder):
    """Refuses the first mails of each batch for good.

    Attributes:
        refuses: How many.
    """

    refuses = 0

    def send(self, message: Rendered) -> None:
        """Takes it, or refuses it."""
        if self.refuses:
            self.refuses -= 1
            raise BouncedError("550 5.1.1 no such user", "hard")
        super().send(message)


def paused_until(world: World) -> dt.datetime | None:
    [row] = world.rows("select paused_until from delivery.sending_domains")
    found: dt.datetime | None = row[0]
    return found


def test_twenty_of_a_hundred_are_allowed_and_one_more_pauses_the_domain(world: World) -> None:
    domain(world, warmup="off")
    transport = Refusing()

    def send(count: int, refused: int, now: dt.datetime) -> None:
        contacts = world.contacts(count)
        world.execute(
            "update crm.contacts set email = 'c' || id || '@x.org' where id = any(:ids)",
            ids=contacts,
        )
        world.messages(contacts, step=contacts[0])
        world.execute(
            "update delivery.messages as message set address = contact.email"
            " from crm.contacts as contact where contact.id = contact_id"
        )
        transport.refuses = refused
        world.send(transport=transport, now=now)

    minute = dt.timedelta(minutes=1)
    send(80, 0, NOW)
    send(20, 20, NOW + minute)
    assert paused_until(world) is None
    assert alerts(world) == []
    send(1, 1, NOW + 2 * minute)
    assert paused_until(world) == NOW + 2 * minute + DAY
    assert alerts(world) == [("sending-domain acme/a.org", "first")]
    [(error,)] = world.rows("select error from ops.incidents")
    assert "21 of its last 100 mails bounced hard, most with '550 5.1.1 no such user'" in error
    path = get_settings().data_dir / "suppressions" / "lift-acme-a.org.csv"
    assert str(path) in error
    lines = path.read_text().splitlines()
    assert lines[0] == "organization_id,address,channel,reason,action"
    assert len(lines) == 1 + 21
    assert lines[1].startswith("acme,c")
    assert lines[1].endswith("@x.org,email,hard_bounce,lift")
    world.execute("update delivery.sending_domains set paused_until = :past", past=NOW)
    send(90, 0, NOW + 2 * DAY)
    assert paused_until(world) is None
    assert alerts(world)[1:] == [("sending-domain acme/a.org", "recovery")]


def test_bounces_that_a_provider_reports_pause_the_domain(world: World) -> None:
    domain(world, warmup="off")
    numbers = world.messages(world.contacts(100))
    world.send(transport=Recorder())

    def bounce(some: list[int]) -> None:
        events = [HookEvent(provider="x", verdict=HARD, payload={}, message_id=one) for one in some]
        with world.begin() as connection:
            record(connection, events, now=NOW + DAY)

    bounce(numbers[:20])
    assert paused_until(world) is None
    bounce(numbers[20:21])
    assert paused_until(world) == NOW + 2 * DAY
    assert alerts(world) == [("sending-domain acme/a.org", "first")]
