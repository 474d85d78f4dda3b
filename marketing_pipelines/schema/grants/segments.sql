grant usage on schema segments to marketing_reader;
grant select on
    segments.daily_overlaps,
    segments.daily_sizes,
    segments.memberships,
    segments.segments
to marketing_reader;
revoke all on all functions in schema segments from public;
