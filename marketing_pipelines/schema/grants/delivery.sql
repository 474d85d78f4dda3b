grant usage on schema delivery to marketing_reader;
grant select on delivery.messages, delivery.suppressions to marketing_reader;
revoke all on all functions in schema delivery from public;
