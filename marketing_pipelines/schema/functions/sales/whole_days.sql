-- Whole days of 24 hours in an age.
create or replace function sales.whole_days(age interval) returns bigint
language sql immutable parallel safe as $$
    select cast(floor(extract(epoch from age) / 86400) as bigint)
$$;
