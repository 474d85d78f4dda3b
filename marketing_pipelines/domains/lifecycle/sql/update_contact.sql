-- Sets fields of contacts; a contact at several such steps does one at a time. A contact that
-- reaches a done step again, because the step was moved, passes it.
with due as materialized (
    select distinct on (batch.contact_id)
           batch.enrolment_id, batch.step_id, batch.contact_id, step.config -> 'set' as given,
           (step.config -> 'set') - cast(:columns as text[]) as others,
           exists (
               select from lifecycle.step_results as result
               where result.enrolment_id = batch.enrolment_id and result.step_id = batch.step_id
           ) as was_done
    from batch
    join planned_steps as step using (step_id)
    where step.type = :type and is_due(batch)
        and not step.is_blocked
    order by batch.contact_id, batch.enrolment_id
),
changed as (
    update crm.contacts as contact
    set email = case when given ? 'email' then given ->> 'email' else email end,
        phone = case when given ? 'phone' then given ->> 'phone' else phone end,
        first_name = case when given ? 'first_name' then given ->> 'first_name' else first_name end,
        last_name = case when given ? 'last_name' then given ->> 'last_name' else last_name end,
        lifecycle_stage = case when given ? 'lifecycle_stage' then given ->> 'lifecycle_stage'
            else lifecycle_stage end,
        lead_grade = case when given ? 'lead_grade' then given ->> 'lead_grade' else lead_grade end,
        intent_score = case when given ? 'intent_score' then cast(given ->> 'intent_score' as integer)
            else intent_score end,
        timezone = case when given ? 'timezone' then given ->> 'timezone' else timezone end,
        attributes = (attributes || others)
            - array(select key from jsonb_each(others) where value = 'null')
    from due
    where contact.id = due.contact_id and not due.was_done
)
insert into outcomes
select enrolment_id, step_id, 'done', null from due
