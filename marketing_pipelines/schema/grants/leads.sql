-- Analysts read every relation of this schema.
alter default privileges in schema leads grant select on tables to marketing_reader;
grant usage on schema leads to marketing_reader;
grant select on
    leads.intent_days,
    leads.opportunity_points,
    leads.opportunity_scores,
    leads.score_rules,
    leads.scorings,
    leads.signal_arrivals
to marketing_reader;
revoke all on all functions in schema leads from public;
