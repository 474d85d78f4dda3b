-- Notes each bounce by its instant: of two bounces of one contact, one may be before an enrolment
-- and one after it.
create or replace function lifecycle.note_bounces() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.contact_changes (program_kind, organization_id, contact_id, change, at)
    select distinct 'sequence', organization_id, contact_id, 'unreachable', occurred_at
    from touched
    where event_type = 'bounced'
        and coalesce(properties ->> 'channel', 'email') not in ('sms', 'push')
    order by 2, 3, 5;
    return null;
end $$;
