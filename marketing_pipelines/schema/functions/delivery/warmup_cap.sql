-- The mails that a domain may send on a day under warm-up; null where nothing limits it: the domain
-- is warm, or its 30 days are over. The last entry of a shorter ramp holds on. A ramp that is no
-- list of numbers counts as none given.
create or replace function delivery.warmup_cap(
    warmup text, started_on date, today date, settings jsonb
) returns integer
language sql immutable parallel safe as $$
    select case
        when warmup = 'off' or today - coalesce(started_on, today) >= 30 then null
        else (ramp ->> least(today - coalesce(started_on, today), jsonb_array_length(ramp) - 1))::integer
    end
    from (
        select case
            when jsonb_typeof(settings #> '{warmup,ramp}') = 'array'
                and jsonb_array_length(settings #> '{warmup,ramp}') > 0
                and not jsonb_path_exists(settings, '$.warmup.ramp[*] ? (@.type() != "number")')
                then settings #> '{warmup,ramp}'
            else jsonb '[50, 100, 200, 400, 800, 1500, 3000, 5000, 10000, 20000]'
        end as ramp
    ) as chosen
$$;
