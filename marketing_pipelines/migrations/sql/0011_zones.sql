-- Time zones: offsets from the package `tzdata`, written by `migrate`; the server's own zones are
-- read by no statement.
create table ops.zones (
    name text not null,
    starts_at timestamptz[] not null,
    starts_local timestamp[] not null,
    utc_offsets interval[] not null,
    constraint zones_pkey primary key (name)
);
comment on table ops.zones is
    'Time zones as the package tzdata has them: what clocks are ahead of UTC, and from when on';
comment on column ops.zones.name is 'IANA name';
comment on column ops.zones.starts_at is
    'From which instants on clocks have another offset, the first -infinity';
comment on column ops.zones.starts_local is
    'From which local times on they are read with that offset: of a time shown twice the first counts';
comment on column ops.zones.utc_offsets is 'What clocks are ahead of UTC from each of them on';

alter table ops.installation add column zones_version text;
comment on column ops.installation.zones_version is
    'Version of the package tzdata from which ops.zones was written';

create function ops.local_time(instant timestamptz, starts_at timestamptz[], utc_offsets interval[])
returns timestamp
language sql immutable parallel safe
return (instant at time zone 'UTC') + utc_offsets[width_bucket(instant, starts_at)];
comment on function ops.local_time(timestamptz, timestamptz[], interval[]) is
    'What clocks of a zone show at an instant';

create function ops.instant_of(local_time timestamp, starts_local timestamp[], utc_offsets interval[])
returns timestamptz
language sql immutable parallel safe
return (local_time - utc_offsets[width_bucket(local_time, starts_local)]) at time zone 'UTC';
comment on function ops.instant_of(timestamp, timestamp[], interval[]) is
    'The first instant at which clocks of a zone show a local time';

-- As before, but for where a local time is read: with the zone's offsets.
create function segments.as_instant(value text, starts_local timestamp[], utc_offsets interval[])
returns timestamptz
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
    'A day or instant written in ISO 8601, the first of its name in the zone where it has none; else null';

-- Reads the instant twice, so that a function in SQL would not be inlined and cost twice as much.
create function segments.month_day(
    instant timestamptz, starts_at timestamptz[], utc_offsets interval[]) returns text
language plpgsql stable strict parallel safe as $$
begin
    return to_char(
        (instant at time zone 'UTC') + utc_offsets[width_bucket(instant, starts_at)], 'MMDD');
end $$;
comment on function segments.month_day(timestamptz, timestamptz[], interval[]) is
    'Month and day of the local date of an instant, as MMDD';
drop function segments.as_instant(text, text);

create or replace function lifecycle.mark_days(instants timestamptz[]) returns void
language plpgsql as $$
begin
    insert into analytics.stale_partitions (asset, partition, xid)
    with days as materialized (
        select distinct
            to_char(ops.local_time(at, zone.starts_at, zone.utc_offsets), 'YYYY-MM-DD') as day
        from ops.installation
        join ops.zones as zone on zone.name = installation.timezone
        cross join unnest(instants) as at
        where at is not null
    )
    select finished.asset, finished.partition, pg_current_xact_id()::text::bigint
    from days
    join analytics.finished_partitions as finished
        on finished.asset = 'analytics/campaign_daily_stats' and finished.partition = days.day
    union
    select 'analytics/campaign_daily_stats', days.day, pg_current_xact_id()::text::bigint
    from ops.installation
    join ops.zones as zone on zone.name = installation.timezone
    cross join lateral
        to_char(ops.local_time(now(), zone.starts_at, zone.utc_offsets), 'YYYY-MM-DD') as today
    join days on days.day < today
    on conflict do nothing;
end $$;

create or replace function campaigns.mark_days_from(changed_from timestamptz) returns void
language plpgsql as $$
begin
    insert into analytics.stale_partitions (asset, partition, xid)
    select 'analytics/campaign_daily_stats', day, pg_current_xact_id()::text::bigint
    from ops.installation
    join ops.zones as zone on zone.name = installation.timezone
    cross join lateral (
        select finished.partition as day
        from analytics.finished_partitions as finished
        where finished.asset = 'analytics/campaign_daily_stats'
        union
        select to_char(
            ops.local_time(now(), zone.starts_at, zone.utc_offsets) - interval '1 day', 'YYYY-MM-DD')
    ) as days
    where day >= to_char(
        ops.local_time(changed_from, zone.starts_at, zone.utc_offsets), 'YYYY-MM-DD')
    on conflict do nothing;
end $$;
