-- Writes tasks for the contacts' owners.
with due as materialized (
    select batch.*, step.config
    from batch
    join planned_steps as step using (step_id)
    where step.type = :type and is_due(batch)
        and not step.is_blocked
),
written as (
    insert into crm.tasks (organization_id, contact_id, owner_id, title, due_at, job, subject,
                           period, created_at)
    select due.organization_id, due.contact_id, contact.owner_id, due.config ->> 'title',
           cast(:tick as timestamptz) + make_interval(secs => step.wait_seconds), :job,
           format('step %s contact %s', due.step_id, due.contact_id), due.rotation::text, :tick
    from due
    join planned_steps as step using (step_id)
    join crm.contacts as contact on contact.id = due.contact_id
    on conflict do nothing
)
insert into outcomes
select enrolment_id, step_id, 'done', null from due
