"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.crm import tables
from marketing_pipelines.domains.crm.deals import tables as deal_tables
from marketing_pipelines.domains.crm.timeline import tables as timeline_tables
from marketing_pipelines.jobs.domain import source

contacts = source(tables.contacts, "the people of each organization.")
deals = source(deal_tables.deals, "deals with their stage and status.")
activities = source(timeline_tables.activities, "e-mails, calls, meetings and notes.")
meetings = source(timeline_tables.meetings, "planned and past meetings.")
opportunities = source(deal_tables.opportunities, "opportunities of travel, with their base score.")
