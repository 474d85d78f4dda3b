-- Analysts read every relation of this schema.
alter default privileges in schema sales grant select on tables to marketing_reader;
grant usage on schema sales to marketing_reader;
grant select on sales.insights, sales.meeting_briefs, sales.stale_deals to marketing_reader;
revoke all on all functions in schema sales from public;
