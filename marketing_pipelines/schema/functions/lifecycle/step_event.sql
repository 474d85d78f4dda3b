-- The data of the event that a contact has reached a step `webhook`, with a body or, without one, the
-- fields of the contact; and, if the body has templates, the fields that it is filled with.
create or replace function lifecycle.step_event(step bigint, contact crm.contacts, body jsonb)
returns table (data jsonb, fields jsonb)
language sql stable as $$
    select webhooks.cut_data(
               jsonb_build_object(
                   'organization', organization.external_id,
                   'contact', contact.external_id,
                   'program_kind', own.program_kind,
                   'program', program.external_id,
                   'step', own.external_id,
                   'body', coalesce(step_event.body, jsonb_build_object('contact', known.fields))
               )
           ),
           case when step_event.body::text ~ '\{[{%#]' then known.fields end
    from lifecycle.steps as own
    join crm.organizations as organization on organization.id = own.organization_id
    join lifecycle.programs as program
        on program.kind = own.program_kind and program.id = own.program_id
    cross join lateral (select delivery.fields_of(contact) as fields) as known
    where own.id = step_event.step
$$;
