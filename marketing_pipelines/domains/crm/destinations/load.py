"""The files of destinations."""

from marketing_pipelines.domains.crm.destinations.tables import destinations
from marketing_pipelines.stores.kinds import CREATED_AT, EXTERNAL_ID, Column, Kind

DESTINATION_KINDS = (
    Kind(
        "destinations",
        destinations,
        key=("external_id",),
        columns=(EXTERNAL_ID, Column("name"), Column("url"), CREATED_AT),
        attributes=False,
    ),
)
