-- The sizes of the largest segments over the last days, a row for each.
with largest as (
    select segment_id, members from segments.daily_sizes
    where date = :date
    order by members desc, segment_id
    limit :most
)
select coalesce(segment.name, segment.external_id) as name,
       array_agg(sizes.date order by sizes.date) as dates,
       array_agg(sizes.members order by sizes.date) as members
from largest
join segments.segments as segment on segment.id = largest.segment_id
join segments.daily_sizes as sizes on sizes.segment_id = largest.segment_id
where sizes.date > cast(:date as date) - cast(:days as integer) and sizes.date <= :date
group by segment.id, largest.members
order by largest.members desc, segment.id
