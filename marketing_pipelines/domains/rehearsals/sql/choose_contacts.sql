-- The contacts to rehearse with: those that are in the program or enter it at once, first by number,
-- and behind them those of the organization that a trigger may let in.
with sure as (
    select contact_id
    from lifecycle.enrolments
    where program_kind = :kind and program_id = :program and status = 'active'
    union
    select member.contact_id
    from lifecycle.triggers as trigger
    join segments.memberships as member
        on member.segment_id = trigger.segment_id and member.left_at is null
    where trigger.program_kind = :kind and trigger.program_id = :program
        and trigger.enabled and trigger.policy = 'backfill'
)
select contact.id
from crm.contacts as contact
left join sure on sure.contact_id = contact.id
where contact.organization_id = :organization
    and (sure.contact_id is not null or exists (
        select from lifecycle.triggers
        where program_kind = :kind and program_id = :program and enabled
    ))
order by sure.contact_id is null, contact.id
limit :most
