-- Analysts read every relation of this schema.
alter default privileges in schema sales grant select on tables to marketing_reader;
grant usage on schema sales to marketing_reader;
revoke all on all functions in schema sales from public;
