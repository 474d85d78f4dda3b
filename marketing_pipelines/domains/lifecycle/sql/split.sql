-- The way of each contact: that whose share of the buckets holds the contact's own.
insert into outcomes (enrolment_id, step_id, outcome, way)
select batch.enrolment_id, batch.step_id, 'way',
       step.way_names[width_bucket(
           segments.bucket(organization.external_id, contact.external_id, step.salt), step.way_starts
       )]
from batch
join planned_steps as step using (step_id)
join crm.contacts as contact on contact.id = batch.contact_id
join crm.organizations as organization on organization.id = batch.organization_id
where step.type = :type and is_due(batch)
    and not step.is_blocked
