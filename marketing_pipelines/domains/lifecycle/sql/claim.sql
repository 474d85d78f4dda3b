-- Takes contacts that are due, from the last place on; contacts that another pass has locked are
-- skipped. Program by program: a place is behind all that are smaller, and nothing of a paused one
-- is locked. Contacts before the first step stand at the pseudo-step of their program. A contact
-- that an event enrolled begins at the event's instant: its first wait counts from there. Triggers
-- are not joined: a join may change the order, and the limit would pass over contacts.
insert into batch
select enrolment.id, enrolment.organization_id, enrolment.program_id, enrolment.contact_id,
       enrolment.rotation, coalesce(enrolment.step_id, -enrolment.program_id),
       coalesce(enrolment.arrived_at, enrolment.entered_at), enrolment.next_step_at,
       enrolment.next_step_at, enrolment.awaits, enrolment.status, null, false,
       case when enrolment.trigger_id in (select id from lifecycle.triggers where type = 'event')
           then enrolment.entry end,
       case when enrolment.trigger_id in (select id from lifecycle.triggers where type = 'event')
           and coalesce(enrolment.arrived_at, enrolment.entered_at) = enrolment.entered_at
           then enrolment.entered_at end
from (
    select program.id
    from unnest(cast(:programs as bigint[])) as program (id)
    where program.id >= :after_program
        and exists (
            select from lifecycle.programs as present
            where present.kind = :kind and present.id = program.id and present.status = 'active'
        )
    order by program.id
    offset 0
) as program
cross join lateral (
    select *
    from lifecycle.enrolments as enrolment
    where enrolment.program_kind = :kind
        and enrolment.program_id = program.id
        and is_due(enrolment)
        and (program.id > :after_program
             or (enrolment.next_step_at, enrolment.id) > (:after_at, :after_id))
    order by enrolment.next_step_at, enrolment.id
    limit :size
    for no key update skip locked
) as enrolment
limit :size
