-- The instants at which events come.
select distinct occurred_at from assumed_events
