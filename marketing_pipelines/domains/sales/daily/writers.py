"""The sentences of an insight: trends, points that need attention, recommendations."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from marketing_pipelines.domains.crm.sales_settings import Insights
from marketing_pipelines.domains.sales.assistant.statements import Facts, Statement, stored
from marketing_pipelines.domains.sales.daily.anomalies import WEEKS
from marketing_pipelines.domains.sales.daily.numbers import METRICS, DayNumbers, Metric

# A campaign is worth repeating if so many mails arrived and so many more were opened.
MIN_DELIVERED = 100
BETTER_BY_PERCENT = 15
_ROLES = {"admin": "Admin", "manager": "Manager", "rep": "Rep"}


@dataclass(frozen=True)
class Insight:
    """An insight as it is stored."""

    metrics: dict[str, Any]
    trends: list[Statement]
    attention: list[Statement]
    recommendations: list[Statement]

    @property
    def digest(self) -> str:
        """A hash of the numbers and sentences."""
        parts = [stored(part) for part in (self.trends, self.attention, self.recommendations)]
        text = json.dumps([self.metrics, *parts], sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def facts(self) -> Facts:
        """The numbers by the rows that statements cite."""
        found: dict[str, Any] = {
            f"metric:{name}": self.metrics[name] for name in METRICS if name in self.metrics
        }
        for name, kind in (
            ("campaigns", "campaign"),
            ("top_performers", "user"),
            ("stuck_stages", "stage"),
        ):
            for one in self.metrics[name]:
                found[f"{kind}:{one['id']}"] = one
        for role, one in self.metrics["response_hours"].items():
            found[f"role:{role}"] = one
        return found


def write_insight(numbers: DayNumbers, own: Insights) -> Insight:
    """The insight that the rules write."""
    return Insight(
        metrics=metrics(numbers),
        trends=list(trends(numbers)),
        attention=list(attention(numbers, own)),
        recommendations=list(recommendations(numbers, own)),
    )


def metrics(numbers: DayNumbers) -> dict[str, Any]:
    """The numbers as the table holds them."""
    return {
        **{name: one.stored() for name, one in sorted(numbers.metrics.items())},
        "won_amount": {currency: _number(amount) for currency, amount in numbers.won.items()},
        "campaigns": [
            {
                "id": row.id,
                "name": row.name,
                "sent": row.sent,
                "delivered": row.delivered,
                "opened": row.opened,
                "clicked": row.clicked,
            }
            for row in numbers.campaigns
        ],
        "top_performers": [
            {
                "id": row.id,
                "name": row.name,
                "activities": row.activities,
                "won_amount": _number(row.won_amount),
            }
            for row in numbers.performers
        ],
        "response_hours": {
            row.role: {"hours": round(float(row.hours), 2), "answers": row.answers}
            for row in numbers.responses
        },
        "stuck_stages": [
            {
                "id": _stage_id(row),
                "stage": row.name,
                "pipeline": row.pipeline,
                "deals": row.deals,
                "days": row.days,
            }
            for row in numbers.stuck
        ],
    }


def trends(numbers: DayNumbers) -> Iterator[Statement]:
    """Each number against its usual one, amounts won, and the users with the most activities."""
    weekday = f"{numbers.date:%A}s"
    for name, title in METRICS.items():
        metric = numbers.metrics.get(name)
        if metric is None:
            continue
        if metric.value is None:
            text = f"{title}: not counted yet"
        elif metric.expected is None:
            text = f"{title}: {metric.value:,} ({metric.earlier} earlier {weekday}: no comparison)"
        else:
            usual = f"usually {_plain(metric.expected)} on {weekday}"
            text = f"{title}: {_signed(metric)}{metric.value:,} ({usual})"
        yield Statement(text, (f"metric:{name}",), numbers={"metric": name, **metric.stored()})
    if numbers.won:
        amounts = " + ".join(
            f"{currency} {_money(amount)}".strip() for currency, amount in numbers.won.items()
        )
        yield Statement(f"Won: {amounts}", ("metric:won_deals",))
    for row in numbers.performers:
        noun = "activity" if row.activities == 1 else "activities"
        yield Statement(f"Most active: {row.name}, {row.activities} {noun}", (f"user:{row.id}",))


def attention(numbers: DayNumbers, own: Insights) -> Iterator[Statement]:
    """Numbers out of the ordinary, stages without movement, answers that take too long."""
    for name, title in METRICS.items():
        metric = numbers.metrics.get(name)
        if metric is not None and metric.verdict in ("above", "below"):
            side = "far above" if metric.verdict == "above" else "far below"
            yield Statement(
                f"{title}: {metric.value:,} is {side} the usual {_plain(metric.expected or 0)} of"
                f" the last {WEEKS} weeks",
                (f"metric:{name}",),
                rule="anomaly",
            )
    for row in numbers.stuck:
        noun = "deal" if row.deals == 1 else "deals"
        yield Statement(
            f"Deals in {row.name} stage: no movement in {row.days} days ({row.deals} {noun})",
            (f"stage:{_stage_id(row)}",),
            rule="stuck_stage",
        )
    for row in numbers.responses:
        if row.hours > own.response_hours:
            yield Statement(
                f"{_ROLES[row.role]} response time: {_hours(row.hours)} (limit:"
                f" {_hours(own.response_hours)})",
                (f"role:{row.role}",),
                rule="slow_response",
            )


def recommendations(numbers: DayNumbers, own: Insights) -> Iterator[Statement]:
    """Actions, each with the rule that made it."""
    for row in numbers.stuck:
        yield Statement(
            f"Follow up on the open deals in {row.name} stage",
            (f"stage:{_stage_id(row)}",),
            rule="stuck_stage",
        )
    for row in numbers.responses:
        if row.hours > own.response_hours:
            yield Statement(
                f"Give leads of {_ROLES[row.role].lower()}s who answer late to available ones",
                (f"role:{row.role}",),
                rule="slow_response",
            )
    yield from _best_campaign(numbers)
    for name, title in METRICS.items():
        metric = numbers.metrics.get(name)
        if metric is not None and metric.verdict == "below":
            yield Statement(
                f"Find out why there were so few: {title.lower()}",
                (f"metric:{name}",),
                rule="anomaly_below",
            )


def _best_campaign(numbers: DayNumbers) -> Iterator[Statement]:
    """The campaign whose mails were opened far more often than those of the others together."""
    ranked = [row for row in numbers.campaigns if row.delivered >= MIN_DELIVERED]
    if len(ranked) < 2:
        return
    best = max(ranked, key=lambda row: (row.opened / row.delivered, -row.id))
    others = [row for row in ranked if row.id != best.id]
    opened, delivered = (sum(getattr(row, n) for row in others) for n in ("opened", "delivered"))
    # In whole numbers: 46 of 100 are not more than 15 % above 40 of 100.
    if best.opened * delivered * 100 > opened * best.delivered * (100 + BETTER_BY_PERCENT):
        rate, usual = best.opened / best.delivered, opened / delivered
        yield Statement(
            f"Repeat what “{best.name}” does: {rate:.0%} of its mails were opened, {usual:.0%} of"
            " the others",
            (f"campaign:{best.id}",),
            rule="best_campaign",
        )


def _signed(metric: Metric) -> str:
    """`+42 %, ` before a number that differs from the usual one."""
    return "" if not metric.change else f"{metric.change:+.0%}, ".replace("%", " %")


def _plain(value: float) -> str:
    return f"{value:,.1f}".removesuffix(".0")


def _hours(value: float) -> str:
    text = f"{float(value):.1f}".removesuffix(".0")
    return f"{text} hour" if text == "1" else f"{text} hours"


def _money(amount: Decimal) -> str:
    return f"{amount:,.2f}".removesuffix(".00")


def _number(amount: Decimal) -> int | float:
    return int(amount) if amount == amount.to_integral_value() else float(amount)


def _stage_id(row: Any) -> str:
    name = f"{row.pipeline}/{row.stage}" if row.pipeline else str(row.stage)
    return name.replace(" ", "-").replace(",", "").replace("[", "").replace("]", "")
