-- PostgreSQL. Makes room for the next batch.
truncate loaded_events, loaded_corrections, event_organizations, event_contacts, event_contact_ids, event_campaigns
