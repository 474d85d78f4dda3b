grant usage on schema crm to marketing_reader;
grant select on crm.tasks to marketing_reader;
revoke all on all functions in schema crm from public;
