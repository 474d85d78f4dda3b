"""The tables of this domain that assets read: external assets, so that lineage reaches them."""

from marketing_pipelines.domains.crm import tables
from marketing_pipelines.domains.crm.deals import tables as deals
from marketing_pipelines.jobs.domain import source

contacts = source(tables.contacts, "the people of each organization.")
opportunities = source(deals.opportunities, "opportunities of travel, with their base score.")
