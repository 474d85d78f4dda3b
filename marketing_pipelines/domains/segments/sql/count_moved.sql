-- The number of contacts that time moved, for each segment.
select segment_id, count(distinct contact_id) as contacts from moved group by segment_id
