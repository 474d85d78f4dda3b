-- The attendees of new and changed meetings as rows; of the same one given twice, the first counts.
-- Addresses compare without case, ids with it.
create or replace function crm.list_attendees() returns trigger
language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        execute $query$
            delete from crm.meeting_attendees as listed
            using before_change as before
            join after_change as after using (id)
            where listed.meeting_id = before.id and before.attendees is distinct from after.attendees
        $query$;
    end if;
    execute $query$
        insert into crm.meeting_attendees (meeting_id, position, organization_id, attendee, address)
        select distinct on (after.id, same.name)
               after.id, given.position, after.organization_id, given.attendee,
               delivery.address_of('email', given.attendee)
        from after_change as after
        cross join unnest(after.attendees) with ordinality as given (attendee, position)
        cross join lateral (
            select case when given.attendee like '%@%'
                then delivery.address_of('email', given.attendee) else given.attendee end as name
        ) as same
        where delivery.address_of('email', given.attendee) is not null
            and not exists (
                select from crm.meeting_attendees as listed where listed.meeting_id = after.id
            )
        order by after.id, same.name, given.position
    $query$;
    return null;
end $$;
