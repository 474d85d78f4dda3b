create or replace function ops.instant_of(local_time timestamp, starts_local timestamp[], utc_offsets interval[])
returns timestamptz
language sql immutable parallel safe
return (local_time - utc_offsets[width_bucket(local_time, starts_local)]) at time zone 'UTC';
comment on function ops.instant_of(timestamp, timestamp[], interval[]) is
    'The first instant at which clocks of a zone show a local time';
