-- Confirms the rebuild that waits, which is to be tried again; returns how many members it removes,
-- nothing where none waits.
update segments.evaluations as state
set confirmed_version = state.held_version, attempted_version = null
from segments.segments as segment
where state.segment_id = :id and segment.id = state.segment_id
    and state.held_version = segment.version
returning state.held_removals
