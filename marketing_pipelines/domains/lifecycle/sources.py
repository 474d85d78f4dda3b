"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.analytics import sources as analytics
from marketing_pipelines.domains.crm import sources as crm
from marketing_pipelines.domains.lifecycle import tables
from marketing_pipelines.jobs.domain import source

steps = source(tables.steps, "the steps of campaigns, sequences and journeys, in order.")
enrolments = source(
    tables.enrolments, "the contacts of each program, their step, and when it is due."
)
# The sources that decide where contacts go, besides the segments that rules name.
MOVING = [steps, enrolments, crm.contacts, analytics.events]
