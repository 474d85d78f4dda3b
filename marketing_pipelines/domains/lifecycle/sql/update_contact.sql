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
        lead_status = case when given ? 'lead_status' then given ->> 'lead_status'
            else lead_status end,
        manual_override = case when given ? 'manual_override'
            then cast(given ->> 'manual_override' as boolean) else manual_override end,
        next_follow_up_at = case when given ? 'next_follow_up_at'
            then cast(given ->> 'next_follow_up_at' as timestamptz) else next_follow_up_at end,
        follow_up_note = case when given ? 'follow_up_note' then given ->> 'follow_up_note'
            else follow_up_note end,
        tags = case when given ? 'tags'
            then array(select jsonb_array_elements_text(nullif(given -> 'tags', 'null')))
            else tags end,
        attributes = (attributes || others)
            - array(select key from jsonb_each(others) where value = 'null')
    from due
    where contact.id = due.contact_id and not due.was_done
)
insert into outcomes
select enrolment_id, step_id, 'done', null from due
