-- Unused segments miss touched contacts: once used again they are evaluated as new.
update segments.evaluations
set evaluated_at = null, attempted_version = null
where segment_id = any(cast(:ids as bigint[])) 
    and (evaluated_at is not null or attempted_version is not null)
