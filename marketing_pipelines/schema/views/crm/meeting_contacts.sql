-- The contact of each attendee of a meeting: the one with that external id, else the one with the
-- smallest number that has the address. Attendees without a contact have a null one.
create or replace view crm.meeting_contacts as
select listed.meeting_id, listed.organization_id, listed.position, listed.attendee,
       coalesce(
           (
               select named.id
               from crm.contacts as named
               where named.organization_id = listed.organization_id
                   and named.external_id = listed.attendee
           ),
           (
               select min(addressed.id)
               from crm.contacts as addressed
               where addressed.organization_id = listed.organization_id
                   and delivery.address_of('email', addressed.email) = listed.address
           )
       ) as contact_id
from crm.meeting_attendees as listed;
comment on view crm.meeting_contacts is 'Attendees of meetings with their contacts, one a row';
comment on column crm.meeting_contacts.contact_id is 'Contact of the attendee; null = none is known';
