"""Mails out of the queue: compared with a bare loop, through the gate, and past others."""

import statistics

from marketing_pipelines_tests.benchmarks.mail_world import MailWorld
from marketing_pipelines_tests.benchmarks.report import Measured, Report
from marketing_pipelines_tests.benchmarks.sites import Server

# Mails of one turn of a worker and of the bare loop: short, so that both see the same machine.
SENT, TURNS = 600, 3
JUDGED = 50_000
FEW = 1_000


def measure(server: Server, report: Report, repeat: int, messages: int) -> None:
    """Everything about mails.

    Args:
        messages: Queued ones behind which others wait, and as many settled ones.
    """
    _send(server, report, repeat)
    _judge(server, report, repeat, messages)
    _look(server, report, repeat, messages)
    _go_past(server, report, messages)


def _send(server: Server, report: Report, repeat: int) -> None:
    """Mails a second with one connection and with four, in turn with the bare loop."""
    world = MailWorld(server.new_site("mails"))
    organization = world.organization("acme", SENT)

    def rate(work: str, connections: int) -> float:
        world.messages(organization, SENT)
        world.site.settle()
        span = world.site.child(work, connections)["all"]
        assert span["mails"] == SENT, span
        world.site.execute("delete from delivery.messages where state = 'queued'")
        return float(SENT / span["seconds"])

    for connections in (1, 4):
        ours, ratios = [], []
        for _ in range(TURNS * repeat):
            bare = rate("send_bare", connections)
            ours.append(rate("send_mails", connections))
            ratios.append(ours[-1] / bare)
        over = f"{connections} connection{'s' if connections > 1 else ''}"
        report.add(Measured(f"mails, {over}", ours, "mails/s", note="to a server on loopback"))
        note = "the same mails, rendered and sent by the same code"
        name = f"mails, {over} : bare loop"
        report.add(Measured(name, ratios, "×", 0.7, at_least=True, note=note))


def _judge(server: Server, report: Report, repeat: int, messages: int) -> None:
    """The gate, alone and with the settling of what it let through."""
    world = MailWorld(server.new_site("gate"))
    organization = world.organization("acme", messages)
    world.messages(organization, messages, settled=True)
    world.messages(organization, messages)
    world.site.settle()
    # Claims take whole batches of 500.
    most = min(JUDGED, messages // (3 * repeat) // 500 * 500)

    def rate(work: str) -> float:
        done = world.site.child(work, most)
        assert done["judged"] == most, done
        return float(most / done["seconds"])

    note = f"{messages:,} queued, {messages:,} settled; batches of 500"
    pairs = [(rate("claim_bare"), rate("judge")) for _ in range(repeat)]
    rates = [judged for _, judged in pairs]
    add = report.add
    add(Measured("gate and claim", rates, "messages/s", 20_000, at_least=True, note=note))
    ratios = [judged / bare for bare, judged in pairs]
    note_of_bare = "as many rows claimed by their numbers, without judgement, in turn"
    add(Measured("gate and claim : bare update", ratios, "×", note=note_of_bare))
    rates = [rate("judge_and_settle") for _ in range(repeat)]
    add(Measured("claim, settle and sent events", rates, "messages/s", note=note))


def _look(server: Server, report: Report, repeat: int, messages: int) -> None:
    """Turns of a worker while nothing may go."""
    world = MailWorld(server.new_site("looks"))
    organization = world.organization("acme", messages)
    world.messages(organization, messages)
    world.site.settle()
    run = world.site.execute

    def look(why: str) -> None:
        seconds = world.site.child("look", max(repeat, 5))["seconds"]
        note = f"{messages:,} queued"
        report.add(Measured(f"nothing may go, {why}", seconds, "s", 0.05, note=note))

    run("update campaigns.campaigns set status = 'paused'")
    look("paused program")
    run(
        "update delivery.sending_domains set warmup = 'auto', warmup_started_on = current_date",
        then="insert into delivery.warmup_reservations (domain_id, day, reserved)"
        " select id, current_date, 50 from delivery.sending_domains",
    )
    run("update campaigns.campaigns set status = 'active'")
    look("full day of warm-up")
    run(
        "update delivery.sending_domains set warmup = 'off'",
        then="insert into delivery.lines (name, failures, openings, open_until, opened_at)"
        " values ('smtp://127.0.0.1:9', 20, 1, now() + interval '1 hour', now())",
    )
    look("open breaker")


def _go_past(server: Server, report: Report, messages: int) -> None:
    """A transactional mail, and a second organization, while one organization has very many."""
    world = MailWorld(server.new_site("turns"))
    first, second = world.organization("first", messages), world.organization("second", FEW)

    def send_few(until: str = "") -> tuple[float, float]:
        """Sends the few mails of the second organization; returns seconds and peak memory."""
        world.messages(second, FEW)
        world.site.settle()
        done = world.site.child("send_mails", 4, until)
        assert done["second.example"]["mails"] == FEW, done
        return done["second.example"]["seconds"], done["peak_mb"]

    # Before and afterwards, because the machine has other work.
    alone = [send_few()]
    world.messages(first, messages)
    is_done = (
        "select not exists (select from delivery.messages"
        f" where organization_id = {second} and state in ('queued', 'claimed'))"
    )
    together, memory = send_few(is_done)
    seconds = world.site.child("urgent", 4)["seconds"]
    world.site.execute("update delivery.messages set state = 'failed' where state = 'queued'")
    alone.append(send_few())
    seconds_alone = [found for found, _ in alone]
    add = report.add
    note = (
        f"{FEW:,} mails, alone in {seconds_alone[0]:.1f} s before and {seconds_alone[1]:.1f} s"
        f" afterwards; {messages:,} of another organization"
    )
    ratio = together / statistics.mean(seconds_alone)
    add(Measured("a small organization with a large one : alone", [ratio], "×", 2, note=note))
    note = f"whole process, {messages:,} queued; {alone[0][1]:.0f} MB with {FEW:,}"
    add(Measured("mails, peak memory", [memory], "MB", note=note))
    note = f"queued behind {messages:,} marketing mails, until it is sent"
    add(Measured("transactional mail", [seconds], "s", 5, note=note))
