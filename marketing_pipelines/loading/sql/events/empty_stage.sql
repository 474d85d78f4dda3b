-- PostgreSQL. Makes room for the next batch.
truncate loaded_events, loaded_corrections, loaded_organizations, loaded_contacts, loaded_contact_ids, loaded_campaigns
