-- Notes that segments without changes are right up to now.
update segments.evaluations set evaluated_at = :now
where segment_id = any(cast(:ids as bigint[])) and evaluated_at < :now
