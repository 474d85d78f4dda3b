"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

import dagster as dg


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
