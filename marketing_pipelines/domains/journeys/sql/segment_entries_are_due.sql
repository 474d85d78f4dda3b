-- True if a segment of a live trigger was evaluated since the trigger was.
select exists (
    select from lifecycle.triggers as trigger
    join lifecycle.programs as program
        on program.kind = trigger.program_kind and program.id = trigger.program_id
    join segments.evaluations as state on state.segment_id = trigger.segment_id
    where trigger.type = 'segment' and trigger.enabled and program.status = 'active'
        and (state.evaluated_at > trigger.evaluated_at
            or (trigger.evaluated_at is null and state.evaluated_at is not null))
)
