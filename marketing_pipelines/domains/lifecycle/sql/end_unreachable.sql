-- Ends enrolments of contacts that unsubscribed, from the channel or the category of their next
-- message, complained or bounced, also while they wait, and forgets the changes: of the next so
-- many; returns how many enrolments ended, how many changes, and the last of them. A change stays while another transaction has locked an enrolment of its
-- contact, and while a program of the contact is not active.
with changed as materialized (
    select id, organization_id, contact_id
    from lifecycle.contact_changes
    where program_kind = :kind and change = 'unreachable' and (at is null or at < :tick)
        and id > :after
    order by id
    limit :size
    for update skip locked
),
leaving as materialized (
    select changed.id as change_id, enrolment.id as enrolment_id, program.status, left_for.reason
    from changed
    join lifecycle.programs as program
        on program.kind = :kind and program.organization_id = changed.organization_id
    join lifecycle.enrolments as enrolment
        on enrolment.program_kind = :kind
        and enrolment.program_id = program.id
        and enrolment.contact_id = changed.contact_id
    cross join lateral (
        select coalesce(
            (
                select found.reason
                from lifecycle.reason_to_leave(
                    enrolment.contact_id, enrolment.entered_at, :tick
                ) as found
            ),
            case when lifecycle.has_left_next_category(
                :kind, program.id, enrolment.step_id, enrolment.contact_id
            ) then 'unsubscribed' end
        ) as reason
    ) as left_for
    where enrolment.status = 'active' and enrolment.entered_at <= :tick
        and left_for.reason is not null
),
locked as materialized (
    select enrolment.id
    from lifecycle.enrolments as enrolment
    where enrolment.status = 'active'
        and enrolment.id in (select enrolment_id from leaving where leaving.status = 'active')
    for no key update skip locked
),
ended as (
    update lifecycle.enrolments as enrolment
    set status = 'exited', exited_at = :tick, reason = leaving.reason, next_step_at = null,
        awaits = null
    from (select distinct enrolment_id, reason from leaving) as leaving
    join locked on locked.id = leaving.enrolment_id
    where enrolment.id = leaving.enrolment_id
    returning enrolment.id, enrolment.step_id, enrolment.reason
),
noted as (
    insert into lifecycle.step_results (enrolment_id, step_id, outcome, reason, at)
    select id, step_id, 'exited', reason, :tick from ended where step_id is not null
    on conflict do nothing
),
forgotten as (
    delete from lifecycle.contact_changes
    where id in (
        select id from changed
        except
        select change_id from leaving where enrolment_id not in (select id from locked)
    )
)
select (select count(*) from ended) as ended, count(*) as changes, max(id) as last from changed
