"""The table of this domain that its job reads: an external asset, so that lineage reaches it."""

from marketing_pipelines.domains.forms import tables
from marketing_pipelines.jobs.domain import source

forms = source(tables.forms, "the forms whose sheets the job reads.")
