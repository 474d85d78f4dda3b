-- Begins waits until a local time again, from the arrival, of contacts whose time zone has changed,
-- and forgets the changes: of the next so many. Returns the number of changes and the last one. A
-- change stays while another transaction has locked an enrolment of its contact.
with changed as materialized (
    select id, organization_id, contact_id
    from lifecycle.contact_changes
    where program_kind = :kind and change = 'zone' and id > :after
    order by id
    limit :size
    for update skip locked
),
local_waits as materialized (
    select id, program_id, organization_id
    from lifecycle.steps
    where program_kind = :kind and type = 'wait' and enabled
        and jsonb_exists_any(config, array['until', 'weekday'])
        and organization_id in (select organization_id from changed)
),
standing as materialized (
    select changed.id as change_id, enrolment.id as enrolment_id
    from changed
    join local_waits as step using (organization_id)
    join lifecycle.enrolments as enrolment
        on enrolment.program_kind = :kind
        and enrolment.program_id = step.program_id
        and enrolment.contact_id = changed.contact_id
    where enrolment.status = 'active' and enrolment.step_id = step.id
        and enrolment.next_step_at > :tick
    union all
    select changed.id, enrolment.id
    from changed
    join local_waits as step using (organization_id)
    join lifecycle.enrolments as enrolment
        on enrolment.program_kind = :kind and enrolment.program_id = step.program_id
    where changed.contact_id is null
        and enrolment.status = 'active' and enrolment.step_id = step.id
        and enrolment.next_step_at > :tick
),
locked as materialized (
    select enrolment.id
    from lifecycle.enrolments as enrolment
    where enrolment.id in (select enrolment_id from standing) and enrolment.next_step_at > :tick
    for no key update skip locked
),
renewed as (
    update lifecycle.enrolments as enrolment
    set next_step_at = arrived_at
    from locked
    where enrolment.id = locked.id
),
forgotten as (
    delete from lifecycle.contact_changes
    where id in (
        select id from changed
        except
        select change_id from standing where enrolment_id not in (select id from locked)
    )
)
select count(*) as changes, max(id) as last from changed
