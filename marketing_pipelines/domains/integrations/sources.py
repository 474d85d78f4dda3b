"""The table of this domain that assets read: an external asset, so that lineage reaches it."""

from marketing_pipelines.domains.integrations import tables
from marketing_pipelines.jobs.domain import source

connections = source(
    tables.connections, "the systems that organizations connected; the jobs read from these."
)
