-- Takes the conditions of exits and goals as Python planned them.
insert into planned_endings
select * from jsonb_to_recordset(:rows) as planned (
    ending_id bigint, program_id bigint, reason text, event_type text, left_segment boolean
)
