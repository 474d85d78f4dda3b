-- Locks the contacts that steps of this batch may change, all at once and in one order, before the
-- first is changed: passes that come to the same contacts at different steps would else wait for each
-- other in a circle.
select count(*)
from (
    select
    from crm.contacts as contact
    where contact.id in (
        select batch.contact_id
        from batch
        join planned_steps as step using (program_id)
        where step.type = 'update_contact'
    )
    order by contact.id
    for no key update
) as locked
