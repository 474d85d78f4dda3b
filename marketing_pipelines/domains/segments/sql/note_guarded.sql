-- Notes what a rebuild would remove, until somebody confirms it.
update segments.evaluations
set held_version = :version, held_removals = :removals, confirmed_version = null
where segment_id = :id
