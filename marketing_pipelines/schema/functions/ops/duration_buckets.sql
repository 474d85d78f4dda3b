create or replace function ops.duration_buckets(durations_ms bigint[]) returns bigint[]
language sql immutable as $$
    select array_agg(
        (select count(*) from unnest(durations_ms) as duration where duration <= bound * 1000)
        order by bound)
    from unnest(array[0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 'Infinity']::float[])
        as bound
$$;
comment on function ops.duration_buckets(bigint[]) is
    'How many of the durations (ms) lie at or below each bound of job_totals.buckets';
