-- The instant at which a cap of so many messages in a span lets one more through; null: now, or there
-- is no cap. `place` counts the messages of the same batch up to this one.
create or replace function delivery.cap_ends_at(
    claims timestamptz[], place bigint, cap integer, span interval, at timestamptz
) returns timestamptz
language sql immutable parallel safe as $$
    select case when counted.number + place > cap
        then coalesce(counted.within[counted.number + place - cap], at) + span end
    from (
        select array(
            select claim from unnest(claims) as claim where claim > at - span order by claim
        ) as within
    ) as window_of
    cross join lateral (
        select window_of.within, cardinality(window_of.within) as number
    ) as counted
    where cap > 0
$$;
