-- True if a contact that stands at a step of a program (null: before the first) has left the category
-- of the next marketing message on its way. Where the way forks before that message, or a step leads
-- elsewhere, this is not known yet: null.
create or replace function lifecycle.has_left_next_category(
    program_kind text, program_id bigint, step_id bigint, contact_id bigint
) returns boolean
language sql stable as $$
    with ahead as (
        select step.*, row_number() over (order by step.position, step.id) as place
        from lifecycle.steps as step
        where step.program_kind = has_left_next_category.program_kind
            and step.program_id = has_left_next_category.program_id
            and step.enabled
            and (
                has_left_next_category.step_id is null
                or (step.position, step.id) >= (
                    select stood.position, stood.id
                    from lifecycle.steps as stood
                    where stood.id = has_left_next_category.step_id
                )
            )
    ),
    next_message as (
        select ahead.*
        from ahead
        where ahead.type in ('send_email', 'send_sms', 'send_push')
        order by ahead.place
        limit 1
    ),
    described as (
        select next_message.organization_id,
               coalesce(next_message.config ->> 'category', template.category) as category,
               coalesce(next_message.config ->> 'kind', template.kind, 'marketing') as kind
        from next_message
        left join delivery.templates as template
            on template.organization_id = next_message.organization_id
            and template.external_id = next_message.config ->> 'template'
        -- The kind of a built-in template is not known here.
        where (not next_message.config ? 'template' or template.id is not null
               or next_message.config ? 'kind')
            and not exists (
                select from ahead as before
                where before.place < next_message.place
                    and (before.type in ('branch', 'wait_for', 'split', 'exit')
                         or before.config ? 'next')
            )
    )
    select delivery.consent_problem(
        described.organization_id, contact.id, category.id,
        delivery.address_of('email', contact.email)
    ) = 'unsubscribed'
    from described
    join crm.contacts as contact on contact.id = has_left_next_category.contact_id
    left join delivery.categories as category
        on category.organization_id = described.organization_id
        and category.external_id = described.category
    where described.kind = 'marketing' and (described.category is null or category.id is not null)
$$;
