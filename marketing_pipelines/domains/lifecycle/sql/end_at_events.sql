-- Ends waiting enrolments whose exit or goal is an event that has arrived, suppresses their queued
-- messages, and notes goals: of the next so many arrivals. Contacts that are due are left to
-- `end_due`, which judges all conditions. Enrolments that are completed reach a goal, without another change, by an event within `goal_days` of their last
-- message. Returns how many enrolments ended, the number of arrivals, and the last of them. An
-- arrival stays as long as `wake` keeps those of waits, while an enrolment of its contact is due or
-- locked by another pass, and while such a program is not active.
with arrived as materialized (
    select id, organization_id, contact_id, event_type, event_id, occurred_at, seen_by
    from lifecycle.event_arrivals
    where purpose = :kind and occurred_at < :tick and id > :after
    order by id
    limit :size
    for update skip locked
),
asked as materialized (
    select arrived.*, program.id as program_id, program.status as program_status,
           program.goal_days,
           jsonb_path_exists(program.goal, '$[*].event ? (@ == $type)', named.type) as is_goal,
           jsonb_path_exists(program.exit, '$[*].event ? (@ == $type)', named.type) as is_exit
    from arrived
    cross join lateral (select jsonb_build_object('type', arrived.event_type)) as named (type)
    join lifecycle.programs as program
        on program.kind = :kind and program.organization_id = arrived.organization_id
    where jsonb_path_exists(program.goal, '$[*].event ? (@ == $type)', named.type)
        or jsonb_path_exists(program.exit, '$[*].event ? (@ == $type)', named.type)
),
reached as materialized (
    select asked.id as arrival_id, asked.event_id, asked.occurred_at, asked.program_status,
           asked.goal_days, case when asked.is_goal then 'goal' else 'exit' end as reason,
           enrolment.id as enrolment_id, enrolment.status, enrolment.program_id,
           enrolment.contact_id, enrolment.rotation
    from asked
    join lifecycle.enrolments as enrolment
        on enrolment.program_kind = :kind
        and enrolment.program_id = asked.program_id
        and enrolment.contact_id = asked.contact_id
    left join lifecycle.triggers as trigger
        on trigger.id = enrolment.trigger_id and trigger.type = 'event'
    where asked.occurred_at >= enrolment.entered_at
        and (trigger.id is null or asked.event_id is distinct from enrolment.entry)
        and (enrolment.status = 'active' or enrolment.status = 'completed' and asked.is_goal)
),
locked as materialized (
    select enrolment.id
    from lifecycle.enrolments as enrolment
    where enrolment.status = 'active'
        and enrolment.next_step_at > :tick
        and enrolment.id in (
            select enrolment_id from reached
            where status = 'active' and program_status = 'active'
        )
    for no key update skip locked
),
leaving as materialized (
    select distinct on (enrolment_id) reached.*
    from reached
    join locked on locked.id = reached.enrolment_id
    order by enrolment_id, reason desc, occurred_at, event_id
),
ended as (
    update lifecycle.enrolments as enrolment
    set status = 'exited', exited_at = :tick, reason = leaving.reason, next_step_at = null,
        awaits = null
    from leaving
    where enrolment.id = leaving.enrolment_id
    returning enrolment.id, enrolment.step_id, enrolment.reason
),
noted as (
    insert into lifecycle.step_results (enrolment_id, step_id, outcome, reason, at)
    select id, step_id, 'exited', reason, :tick from ended where step_id is not null
    on conflict do nothing
),
silenced as (
    update delivery.messages as message
    set state = 'suppressed', reason = leaving.reason
    from leaving
    join lifecycle.steps as step
        on step.program_kind = :kind and step.program_id = leaving.program_id
    where message.step_id = step.id
        and message.contact_id = leaving.contact_id
        and message.rotation = leaving.rotation
        and message.state = 'queued'
),
goals as (
    insert into lifecycle.goals (enrolment_id, at, event_id)
    select distinct on (enrolment_id) enrolment_id, occurred_at, event_id
    from (
        select enrolment_id, occurred_at, event_id from leaving where reason = 'goal'
        union all
        select reached.enrolment_id, reached.occurred_at, reached.event_id
        from reached
        cross join lateral (
            select max(coalesce(message.sent_at, message.queued_at)) as at
            from delivery.messages as message
            join lifecycle.steps as step on step.id = message.step_id
            where step.program_kind = :kind
                and step.program_id = reached.program_id
                and message.contact_id = reached.contact_id
                and message.rotation = reached.rotation
                and message.state not in ('suppressed', 'failed')
        ) as last_message
        where reached.status = 'completed'
            and reached.occurred_at < last_message.at + make_interval(days => reached.goal_days)
    ) as goal
    order by enrolment_id, occurred_at, event_id
    on conflict do nothing
),
forgotten as (
    delete from lifecycle.event_arrivals
    where id in (
        select id from arrived
        where seen_by < pg_snapshot_xmin(pg_current_snapshot())::text::bigint
        except
        select arrival_id from reached
        where status = 'active' and enrolment_id not in (select id from locked)
    )
),
seen as (
    update lifecycle.event_arrivals
    set seen_by = pg_current_xact_id()::text::bigint
    where id in (select id from arrived where seen_by is null)
)
select (select count(*) from ended) as ended, count(*) as arrivals, max(id) as last
from arrived
