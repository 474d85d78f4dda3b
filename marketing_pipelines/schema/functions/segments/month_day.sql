-- Reads the instant twice: inlined, a function in SQL would compute its argument twice.
create or replace function segments.month_day(
    instant timestamptz, starts_at timestamptz[], utc_offsets interval[]) returns text
language plpgsql stable strict parallel safe as $$
begin
    return to_char(
        (instant at time zone 'UTC') + utc_offsets[width_bucket(instant, starts_at)], 'MMDD');
end $$;
comment on function segments.month_day(timestamptz, timestamptz[], interval[]) is
    'Month and day of the local date of an instant, as MMDD';
