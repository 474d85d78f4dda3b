"""Rows of this domain that files of other kinds name by external id; unknown ones become stubs."""

from marketing_pipelines.domains.crm.tables import companies, contacts, users
from marketing_pipelines.stores.kinds import Reference

COMPANY = Reference(companies)
CONTACT = Reference(contacts, stub=(("source", "'stub'"),))
USER = Reference(users)
