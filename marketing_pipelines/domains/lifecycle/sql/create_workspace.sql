-- The temporary tables of one pass: the planned steps, exits and goals, the claimed contacts with their places, and
-- the outcomes of their current steps.
create temporary table if not exists planned_steps (
    step_id bigint primary key,
    program_id bigint not null,
    organization_id bigint not null,
    type text not null,
    is_blocked boolean not null,
    next_id bigint,
    yes_id bigint,
    no_id bigint,
    wait_seconds double precision,
    wait_until time,
    wait_weekday integer,
    awaits text,
    timeout_seconds double precision,
    source_ids bigint[],
    content_id bigint,
    endpoint_id bigint,
    message_kind text,
    priority integer,
    valid_seconds double precision,
    category_id bigint,
    domain_id bigint,
    is_bulk boolean,
    config jsonb not null,
    salt text,
    way_names text[],
    way_starts integer[],
    way_ids bigint[]
);
create temporary table if not exists batch (
    enrolment_id bigint,
    organization_id bigint,
    program_id bigint,
    contact_id bigint,
    rotation integer,
    step_id bigint,
    arrived_at timestamptz,
    next_step_at timestamptz,
    due_at timestamptz,
    awaits text,
    status text,
    reason text,
    has_moved boolean,
    let_in_by text,
    begins_at timestamptz
) on commit delete rows;
create temporary table if not exists outcomes (
    enrolment_id bigint,
    step_id bigint,
    outcome text,
    reason text,
    way text
) on commit delete rows;
create temporary table if not exists planned_endings (
    ending_id bigint not null,
    program_id bigint not null,
    reason text not null,
    event_type text,
    left_segment boolean not null
);
truncate planned_steps, planned_endings
