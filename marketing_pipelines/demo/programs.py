"""Programs of the demo, as load files: a campaign, a sequence and a journey of one organization."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# After all recorded events of their contacts; due contacts move at once.
ENTERED_AT = "2018-01-02T09:00:00Z"
DemoStep = tuple[str, str, Mapping[str, Any]]


@dataclass(frozen=True)
class Programs:
    """The segments, contacts and success event of an organization's programs.

    Attributes:
        won_back, thanked: Segments whose members enter the campaign and the journey.
        asked: Contacts who are in the sequence.
        bought: The event type that shows a program's success.
    """

    won_back: str
    thanked: str
    bought: str
    asked: Sequence[str]

    @property
    def campaign(self) -> list[DemoStep]:
        """Wins back contacts that did not respond."""
        again = {"event": self.bought, "within": "3d"}
        return [
            ("hello", "send_email", _mail("We have kept something for you", "Have a look.")),
            ("pause", "wait", {"for": "3d"}),
            ("came", "branch", {"rule": again, "yes": "end", "no": "reminder"}),
            ("reminder", "send_email", _mail("Still here for you", "It ends on Sunday.")),
            ("call", "create_task", {"title": "Ask what would bring them back", "due_in": "5d"}),
        ]

    @property
    def journey(self) -> list[DemoStep]:
        """Thanks frequent customers."""
        waiting = {"event": self.bought, "timeout": "14d", "yes": "end", "no": "ask"}
        return [
            ("tier", "update_contact", {"set": {"tier": "gold"}}),
            ("evening", "wait", {"until": "18:00"}),
            ("thanks", "send_email", _mail("Thank you", "You belong to our best customers.")),
            ("again", "wait_for", waiting),
            ("ask", "create_task", {"title": "Ask whether all is well"}),
        ]

    @property
    def sequence(self) -> list[DemoStep]:
        """Three mails of a sales person."""
        return [
            ("first", "send_email", _mail("A question", "May I ask you something?")),
            ("two days", "wait", {"for": "2d"}),
            ("second", "send_email", _mail("Re: A question", "Did you see my mail?")),
            ("monday", "wait", {"weekday": "monday", "until": "09:00"}),
            ("last", "send_email", _mail("Re: A question", "This is my last mail.")),
        ]


HOUSEHOLDS = Programs(
    won_back="mailed-in-vain",
    thanked="regulars",
    bought="purchase",
    asked=[f"household-{number}" for number in range(1, 26)],
)
READERS = Programs(
    won_back="asleep",
    thanked="engaged-buyers",
    bought="purchase",
    asked=[f"o1-c{number:06}" for number in range(25)],
)


def write_programs(
    organization: str, programs: Programs, folder: Path, *, entered_at: str = ENTERED_AT
) -> list[tuple[str, Path]]:
    """Writes the programs of an organization.

    Args:
        entered_at: When the contacts of the sequence entered it.

    Returns:
        `(kind, path)` in the order in which `load KIND PATH` takes them.
    """
    own = {"organization_id": organization}
    let_in = own | {"external_id": "in", "type": "segment", "policy": "backfill"}
    rows: dict[str, list[dict[str, Any]]] = {
        "campaigns": [own | _program("win-back", "Win back") | {"audience": "open"}],
        "sequences": [own | _program("a-question", "A question")],
        "journeys": [own | _program("thank-you", "Thank you")],
        "steps": [
            own | step
            for kind, program, steps in (
                ("campaign", "win-back", programs.campaign),
                ("sequence", "a-question", programs.sequence),
                ("journey", "thank-you", programs.journey),
            )
            for step in _steps(kind, program, steps)
        ],
        "campaign_triggers": [let_in | {"campaign_id": "win-back", "segment": programs.won_back}],
        "journey_triggers": [let_in | {"journey_id": "thank-you", "segment": programs.thanked}],
        "sequence_enrolments": [
            own | {"sequence_id": "a-question", "contact_id": contact, "entered_at": entered_at}
            for contact in programs.asked
        ],
    }
    files = []
    for kind, listed in rows.items():
        path = folder / f"program_{kind}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in listed), encoding="utf-8")
        files.append((kind, path))
    return files


def _mail(subject: str, text: str) -> dict[str, str]:
    return {"subject": subject, "text": f"Hello {{{{ external_id }}}},\n\n{text}\n"}


def _program(external_id: str, name: str) -> dict[str, str]:
    return {"external_id": external_id, "name": name, "status": "active"}


def _steps(kind: str, program: str, steps: Iterable[DemoStep]) -> Iterable[dict[str, Any]]:
    for place, (name, step_type, config) in enumerate(steps, start=1):
        yield {
            "program_kind": kind,
            "program": program,
            "external_id": name,
            "position": place * 10,
            "type": step_type,
            "config": config,
        }
