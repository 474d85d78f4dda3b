-- Inserts how many members each two segments of an organization share at the end of a day.
insert into segments.daily_overlaps (segment_id, other_segment_id, date, organization_id, members)
select one.segment_id, other.segment_id, :date, segment.organization_id, count(*)
from segments.memberships as one
join segments.memberships as other
    on other.contact_id = one.contact_id and other.segment_id > one.segment_id
join segments.segments as segment on segment.id = one.segment_id
where one.entered_at < :end and (one.left_at is null or one.left_at >= :end)
    and other.entered_at < :end and (other.left_at is null or other.left_at >= :end)
group by one.segment_id, other.segment_id, segment.organization_id
