-- The attendees of the meetings of a batch, with their contacts; users of the organization are left out.
create temporary table brief_attendees on commit drop as
select attending.meeting_id, attending.organization_id, attending.position, attending.attendee,
       attending.contact_id
from crm.meeting_contacts as attending
where attending.meeting_id = any(:meetings)
    and (
        attending.contact_id is not null
        or not exists (
            select from crm.users as colleague
            where colleague.organization_id = attending.organization_id
                and (
                    delivery.address_of('email', colleague.email)
                        = delivery.address_of('email', attending.attendee)
                    or colleague.external_id = attending.attendee
                )
        )
    )
