-- How many contacts are staged for each segment.
select segment_id, count(*) as contacts from moved group by segment_id
