"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

import dagster as dg

from marketing_pipelines.domains.analytics import sources as events
from marketing_pipelines.domains.crm import sources as crm


def _source(table: str, description: str) -> dg.AssetSpec:
    return dg.AssetSpec(
        ["sources", table],
        description=description,
        group_name="sources",
        owners=["team:platform"],
        kinds={"postgres", "table"},
    )


steps = _source("steps", "`lifecycle.steps`: what campaigns, sequences and journeys do, in order.")
enrolments = _source(
    "enrolments", "`lifecycle.enrolments`: who is in which program, at which step, and until when."
)
# What decides where contacts go, besides the segments that rules name.
MOVING = [steps, enrolments, crm.contacts, events.events]
