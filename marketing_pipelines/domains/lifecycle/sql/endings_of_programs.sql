-- The exits and goals of programs that have one.
select program.id, program.exit::text as exit, program.goal::text as goal,
       exists (
           select from lifecycle.triggers as trigger
           where trigger.program_kind = program.kind
               and trigger.program_id = program.id
               and trigger.type = 'segment'
       ) as has_segment_trigger
from lifecycle.programs as program
where program.kind = :kind
    and program.id = any(cast(:programs as bigint[]))
    and (program.exit is not null or program.goal is not null)
order by program.id
