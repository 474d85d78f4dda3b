create or replace function ops.local_time(instant timestamptz, starts_at timestamptz[], utc_offsets interval[])
returns timestamp
language sql immutable parallel safe
return (instant at time zone 'UTC') + utc_offsets[width_bucket(instant, starts_at)];
comment on function ops.local_time(timestamptz, timestamptz[], interval[]) is
    'What clocks of a zone show at an instant';
