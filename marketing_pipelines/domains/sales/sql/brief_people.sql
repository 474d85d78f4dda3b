-- The attendees of each meeting, in their order: what is known of them and of their companies.
select attending.meeting_id, attending.attendee, contact.id,
       coalesce(
           nullif(concat_ws(' ', contact.first_name, contact.last_name), ''), contact.email,
           contact.external_id
       ) as name,
       contact.attributes ->> 'title' as title,
       contact.lifecycle_stage, contact.lead_grade, contact.lead_score, contact.intent_score,
       contact.attributes ->> 'competitor' as competitor, contact.company_id
from brief_attendees as attending
left join crm.contacts as contact on contact.id = attending.contact_id
order by attending.meeting_id, attending.position
