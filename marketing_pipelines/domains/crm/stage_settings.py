"""Settings of lifecycle stages and of the recycling of leads."""

from typing import Any, Literal

from pydantic import ConfigDict, Field

from marketing_pipelines.domains.crm.setting_types import Days, SettingGroup, SettingName


class StageMove(SettingGroup):
    """A move from one stage to the next, and the rule by which contacts make it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, serialize_by_alias=True)

    before: SettingName = Field(alias="from")
    to: SettingName
    rule: dict[str, Any]


def _default_moves() -> list[StageMove]:
    moves: list[tuple[str, str, list[dict[str, Any]]]] = [
        (
            "lead",
            "mql",
            [
                {"grade": "B"},
                {"score": "intent", "op": ">", "value": 50},
                {"event": "form_submission"},
            ],
        ),
        ("mql", "sql", [{"activity": ["call", "meeting"], "since_stage": True}, {"grade": "A"}]),
        ("sql", "opportunity", [{"deal": "any"}]),
        ("opportunity", "customer", [{"deal": "won"}]),
    ]
    return [
        StageMove.model_validate({"from": before, "to": to, "rule": {"all": rule}})
        for before, to, rule in moves
    ]


class Lifecycle(SettingGroup):
    """The stages through which contacts move, and the rules by which they do."""

    rules: list[StageMove] = Field(
        default_factory=_default_moves,
        description="Moves `{from, to, rule}`; the first rule of a stage that holds counts, stages "
        "compare without case, a contact without stage is a `lead`",
    )


class Recycling(SettingGroup):
    """Lost leads that show interest again."""

    after_days: Days = Field(default=90, description="Days after which a lost lead may come back")
    signal_days: Days = Field(default=30, description="Days within which it must show interest")
    signals: list[SettingName] = Field(
        default=["page_view", "opened"], description="Types of events that show interest"
    )
    sequence: SettingName | None = Field(
        default=None,
        description="Sequence that recycled leads enter; none = they get a task only",
    )
    statuses: list[Literal["new", "working", "nurturing", "lost", "unqualified"]] = Field(
        default=["lost", "unqualified"], description="Lead statuses that are recycled"
    )
