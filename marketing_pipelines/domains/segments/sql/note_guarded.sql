-- Notes the number of members that a rebuild would remove, until an operator confirms it.
update segments.evaluations
set held_version = :version, held_removals = :removals, confirmed_version = null
where segment_id = :id
