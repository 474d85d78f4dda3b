-- PostgreSQL. How many events of this transaction took another's place: the trigger on the events
-- changes a key then, and only then.
select coalesce(pg_stat_get_xact_tuples_updated('analytics.event_keys'::regclass), 0)
