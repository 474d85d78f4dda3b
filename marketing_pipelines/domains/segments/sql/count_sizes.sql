-- Inserts one row for each segment and day, from one scan of all memberships: entries and exits are
-- counted by day, and members are the sums up to each day's end. Returns the dates.
with moves as (
    select segment_id, width_bucket(entered_at, cast(:starts as timestamptz[])) as number,
           count(*) as entered, 0 as gone
    from segments.memberships
    where entered_at < :end
    group by 1, 2
    union all
    select segment_id, width_bucket(left_at, cast(:starts as timestamptz[])), 0, count(*)
    from segments.memberships
    where left_at < :end
    group by 1, 2
), counted as (
    select segment_id, number, sum(entered) as entered, sum(gone) as gone
    from moves
    group by 1, 2
)
insert into segments.daily_sizes (segment_id, date, organization_id, members, entered, exited)
select segment.id, day.date, segment.organization_id, so_far.members,
       coalesce(counted.entered, 0), coalesce(counted.gone, 0)
from unnest(cast(:dates as date[]), cast(:starts as timestamptz[]))
    with ordinality as day (date, start, number)
cross join segments.segments as segment
left join counted on counted.segment_id = segment.id and counted.number = day.number
cross join lateral (
    select coalesce(sum(entered - gone), 0) as members, count(*) as parts
    from counted as earlier
    where earlier.segment_id = segment.id and earlier.number <= day.number
) as so_far
where so_far.parts > 0 or segment.created_at < day.start + interval '1 day'
returning date
