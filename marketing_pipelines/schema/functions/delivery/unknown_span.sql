-- How long a message of unknown outcome waits for an event of its provider, by the settings of its
-- organization; 48 hours where they name no number.
create or replace function delivery.unknown_span(settings jsonb) returns interval
language sql immutable parallel safe as $$
    select make_interval(hours => case
        when jsonb_typeof(settings #> '{delivery,unknown_hours}') = 'number'
            then cast(settings #>> '{delivery,unknown_hours}' as numeric)::integer
        else 48
    end)
$$;
