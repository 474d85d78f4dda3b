-- Takes the steps as Python planned them.
insert into planned_steps
select * from jsonb_to_recordset(:rows) as planned (
    step_id bigint, program_id bigint, organization_id bigint, type text, is_blocked boolean,
    next_id bigint, yes_id bigint, no_id bigint, wait_seconds double precision, wait_until time,
    wait_weekday integer, awaits text, timeout_seconds double precision, source_ids bigint[],
    content_id bigint, endpoint_id bigint, message_kind text, priority integer, valid_seconds double precision,
    category_id bigint, domain_id bigint, is_bulk boolean, config jsonb, salt text, way_names text[],
    way_starts integer[], way_ids bigint[]
)
