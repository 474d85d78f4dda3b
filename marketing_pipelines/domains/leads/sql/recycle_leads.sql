-- Recycles the lost leads of an organization that showed interest again and are in no active sequence:
-- their status, the enrolment in a sequence where one is given, a task for the owner, a row of the
-- ledger. Machines show no interest. Contacts are locked in their order, so that two statements do not
-- wait for each other.
with lost as materialized (
    select contact.id, contact.lead_status, contact.owner_id
    from crm.contacts as contact
    where contact.organization_id = :organization_id
        and contact.lead_status = any(cast(:statuses as text[]))
        and contact.lead_status_at < :lost_before
        -- A file that restores an old status with its instant does not make the lead lost anew.
        and not exists (
            select from leads.lead_recycling as earlier
            where earlier.contact_id = contact.id and earlier.tick >= contact.lead_status_at
        )
        and not exists (
            select from lifecycle.enrolments as enrolment
            where enrolment.contact_id = contact.id and enrolment.program_kind = 'sequence'
                and enrolment.status = 'active'
        )
),
interested as materialized (
    select lost.*, signal.event_id
    from lost
    cross join lateral (
        select event.event_id
        from analytics.contact_activity as event
        where event.organization_id = :organization_id and event.contact_id = lost.id
            and event.event_type = any(cast(:signals as text[]))
            and event.occurred_at >= :signal_since and event.occurred_at < :tick
            and not coalesce(event.properties, '{}') @> '{"machine_open": true}'
            and not coalesce(event.properties, '{}') @> '{"machine_click": true}'
        order by event.occurred_at desc, event.event_id collate "C" desc
        limit 1
    ) as signal
),
locked as materialized (
    select interested.*
    from interested
    join crm.contacts as contact on contact.id = interested.id
    order by contact.id
    for no key update of contact
),
recycled as (
    update crm.contacts as contact
    set lead_status = 'recycled', lead_status_at = :tick
    from locked as interested
    where contact.id = interested.id and contact.lead_status = interested.lead_status
        and contact.lead_status_at < :lost_before
    returning contact.id, interested.lead_status as previous_status, interested.event_id,
              contact.owner_id
),
enrolled as (
    insert into lifecycle.enrolments (
        organization_id, program_kind, program_id, contact_id, rotation, entered_at, next_step_at
    )
    select :organization_id, 'sequence', cast(:sequence_id as bigint), recycled.id,
           coalesce((
               select max(earlier.rotation)
               from lifecycle.enrolments as earlier
               where earlier.program_kind = 'sequence' and earlier.program_id = :sequence_id
                   and earlier.contact_id = recycled.id
           ), 0) + 1,
           :tick, :tick
    from recycled
    where cast(:sequence_id as bigint) is not null
    order by recycled.id
    returning id, contact_id
),
told as (
    insert into crm.tasks (
        organization_id, contact_id, owner_id, title, due_at, job, subject, period, created_at
    )
    select :organization_id, id, owner_id, 'Follow up with recycled lead', :tick, :job,
           'contact ' || id, cast(:period as text), :tick
    from recycled
    order by id
    on conflict (organization_id, job, subject, period) do nothing
    returning id, contact_id
),
noted as (
    insert into leads.lead_recycling (
        organization_id, contact_id, tick, previous_status, signal_event, enrolment_id, task_id
    )
    select :organization_id, recycled.id, :tick, recycled.previous_status, recycled.event_id,
           enrolled.id, told.id
    from recycled
    left join enrolled on enrolled.contact_id = recycled.id
    left join told on told.contact_id = recycled.id
    order by recycled.id
    returning 1
)
select count(*) as recycled from noted
