-- Notes that a segment's members are right as of an instant.
update segments.evaluations
set version = :version,
    evaluated_at = :now,
    first_evaluated_at = coalesce(first_evaluated_at, :now),
    next_change_at = :next_change_at,
    members = members + :difference,
    held_version = null,
    held_removals = null,
    confirmed_version = null
where segment_id = :id
