-- Checks a shape and a calendar instead of catching an error, which would cost a subtransaction a
-- row; the order of the checks is that of how often they decide.
create or replace function segments.as_instant(
    value text, starts_local timestamp[], utc_offsets interval[]) returns timestamptz
language plpgsql immutable strict parallel safe as $$
declare
    local_time timestamp;
    behind interval;
begin
    -- Most are plain days, and the first 28 exist in every month.
    if value !~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|1[0-9]|2[0-8])$' or left(value, 4) = '0000' then
        if value !~ ('^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])'
            '([T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9](\.[0-9]{1,6})?)?'
            '(Z|[+-](0[0-9]|1[0-4]):?[0-5][0-9])?)?$')
            or left(value, 4) = '0000'
            or substr(value, 9, 2) > '28' and substr(value, 9, 2)::integer > extract(
                day from (left(value, 8) || '01')::date + interval '1 month' - interval '1 day')
        then
            return null;
        end if;
        if length(value) > 16 and right(value, 1) = 'Z' then
            return left(value, -1)::timestamp at time zone 'UTC';
        elsif length(value) > 16 and substr(value, 17) ~ '[+-]' then
            local_time := regexp_replace(value, '[+-][0-9]{2}:?[0-9]{2}$', '')::timestamp;
            behind := make_interval(
                hours => substr(right(replace(value, ':', ''), 5), 1, 3)::integer,
                mins => (substr(right(replace(value, ':', ''), 5), 1, 1)
                    || right(value, 2))::integer);
            return (local_time - behind) at time zone 'UTC';
        end if;
    end if;
    local_time := value::timestamp;
    return (local_time - utc_offsets[width_bucket(local_time, starts_local)]) at time zone 'UTC';
end $$;
comment on function segments.as_instant(text, timestamp[], interval[]) is
    'A day or instant written in ISO 8601, the first of its name in the zone where it has none; '
    'else null';
