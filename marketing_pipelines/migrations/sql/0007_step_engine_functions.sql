-- What the step engine needs of the database: its views, and triggers.

create view lifecycle.programs as
select 'campaign' as kind, id, organization_id, external_id, name, status, started_at, resumed_at
from campaigns.campaigns
union all
select 'sequence', id, organization_id, external_id, name, status, started_at, resumed_at
from campaigns.sequences
union all
select 'journey', id, organization_id, external_id, name, status, started_at, resumed_at
from journey.journeys;
comment on view lifecycle.programs is 'Programs of every kind; contacts move while one is active';

-- A program that is known by name only is inserted here, whatever its kind.
create function lifecycle.add_stub() returns trigger
language plpgsql as $$
begin
    case new.kind
        when 'campaign' then
            insert into campaigns.campaigns (organization_id, external_id, status)
            values (new.organization_id, new.external_id, 'imported')
            on conflict do nothing;
        when 'sequence' then
            insert into campaigns.sequences (organization_id, external_id)
            values (new.organization_id, new.external_id)
            on conflict do nothing;
        when 'journey' then
            insert into journey.journeys (organization_id, external_id)
            values (new.organization_id, new.external_id)
            on conflict do nothing;
    end case;
    return new;
end $$;

create trigger add_stub
instead of insert on lifecycle.programs
for each row execute function lifecycle.add_stub();

-- The status of a program, which is held until the transaction ends: whoever judges whether it is
-- over lets it be meanwhile. Null: there is none.
create function lifecycle.hold_program(kind text, number bigint) returns text
language plpgsql as $$
declare
    held text;
begin
    case kind
        when 'campaign' then
            select status into held from campaigns.campaigns where id = number for key share;
        when 'sequence' then
            select status into held from campaigns.sequences where id = number for key share;
        else
            select status into held from journey.journeys where id = number for key share;
    end case;
    return held;
end $$;

-- An enrolment holds its program while it is written, so that whoever judges whether the program is
-- over either sees it or lets the program be. A campaign goes on that was completed while the contact
-- waited to enter, or before, if it has steps: others were completed elsewhere and are history. What
-- an enrolment is not told, it begins with: due at once.
create function lifecycle.join_program() returns trigger
language plpgsql as $$
declare
    before text;
    now_held text;
begin
    if new.program_kind = 'campaign' then
        select status into before from campaigns.campaigns where id = new.program_id;
    end if;
    now_held := lifecycle.hold_program(new.program_kind, new.program_id);
    if now_held is null then
        raise foreign_key_violation using message =
            format('there is no %s %s', new.program_kind, new.program_id);
    end if;
    if new.status = 'active' and now_held = 'completed' and (
        before = 'active'
        or exists (
            select from lifecycle.steps
            where program_kind = 'campaign' and program_id = new.program_id
        )
    ) then
        update campaigns.campaigns set status = 'active', completed_at = null
        where id = new.program_id and status = 'completed';
    end if;
    new.next_step_at := coalesce(new.next_step_at, new.entered_at);
    return new;
end $$;

create trigger join_program
before insert on lifecycle.enrolments
for each row execute function lifecycle.join_program();

-- The enrolments of before.
insert into lifecycle.enrolments (organization_id, program_kind, program_id, contact_id, status,
                                  entered_at, completed_at, exited_at)
select organization_id, 'campaign', campaign_id, contact_id, status, entered_at, completed_at,
       exited_at
from campaigns.campaign_contacts
order by id;
drop table campaigns.campaign_contacts;
drop function campaigns.mark_enrolment_days;

create view campaigns.campaign_contacts as
select id, organization_id, program_id as campaign_id, contact_id, rotation, status,
       step_id as current_step_id, next_step_at, entered_at, completed_at, exited_at, failed_at,
       reason, program_kind
from lifecycle.enrolments
where program_kind = 'campaign';
alter view campaigns.campaign_contacts alter column program_kind set default 'campaign';
comment on view campaigns.campaign_contacts is
    'Which contact is in which campaign, since when and at which step';

create view campaigns.sequence_enrolments as
select id, organization_id, program_id as sequence_id, contact_id, rotation, status,
       step_id as current_step_id, next_step_at, entered_at, completed_at, exited_at, failed_at,
       reason, program_kind
from lifecycle.enrolments
where program_kind = 'sequence';
alter view campaigns.sequence_enrolments alter column program_kind set default 'sequence';
comment on view campaigns.sequence_enrolments is
    'Which contact is in which sequence, since when and at which step';

create view journey.journey_executions as
select id, organization_id, program_id as journey_id, contact_id, rotation, status,
       step_id as current_step_id, next_step_at, entered_at as started_at,
       coalesce(completed_at, exited_at, failed_at) as completed_at, reason, trigger_id,
       program_kind
from lifecycle.enrolments
where program_kind = 'journey';
alter view journey.journey_executions alter column program_kind set default 'journey';
comment on view journey.journey_executions is
    'Which contact goes through which journey, since when and at which step';

create view journey.journey_triggers as
select id, organization_id, program_id as journey_id, external_id, type, segment_id, event_type,
       config, policy, enabled, evaluated_at
from lifecycle.triggers
where program_kind = 'journey';
comment on view journey.journey_triggers is 'What lets contacts into journeys';

create view journey.execution_logs as
select enrolment_id as execution_id, enrolment.organization_id, enrolment.program_id as journey_id,
       result.step_id, step.external_id as step,
       case when outcome in ('canceled', 'failed') then 'warning' else 'info' end as level,
       outcome, coalesce(result.reason, outcome) as message, result.at as created_at
from lifecycle.step_results as result
join lifecycle.enrolments as enrolment on enrolment.id = enrolment_id
left join lifecycle.steps as step on step.id = result.step_id
where enrolment.program_kind = 'journey';
comment on view journey.execution_logs is
    'What happened to journey executions, step by step; a warning where one was canceled or failed';

create view lifecycle.program_counts as
select program_kind, program_id, organization_id,
       count(*) as entered,
       count(*) filter (where status = 'active') as active,
       count(*) filter (where status = 'completed') as completed,
       count(*) filter (where status in ('exited', 'canceled')) as exited,
       count(*) filter (where status = 'failed') as failed
from lifecycle.enrolments
group by program_kind, program_id, organization_id;
comment on view lifecycle.program_counts is
    'How many contacts entered each program and where they are; those canceled count as exited';

create view lifecycle.used_segments as
select trigger.segment_id
from lifecycle.triggers as trigger
join lifecycle.programs as program
    on program.kind = trigger.program_kind and program.id = trigger.program_id
where trigger.enabled and trigger.segment_id is not null and program.status = 'active'
union
select segment.id
from lifecycle.steps as step
join lifecycle.programs as program
    on program.kind = step.program_kind and program.id = step.program_id
cross join lateral jsonb_path_query(step.config -> 'rule', '$.**.segment') as named
join segments.segments as segment
    on segment.organization_id = step.organization_id
    and (segment.external_id = named #>> '{}' or segment.id::text = named #>> '{}')
where step.type = 'branch' and step.enabled and program.status = 'active';
comment on view lifecycle.used_segments is
    'Segments that triggers or branches of active programs name; they are always evaluated';

-- Campaign days that are over or done become stale when enrolments of that day change. Whether a
-- day is over is judged by the writer's own time: a trigger has no tick. The count of a day waits
-- for transactions that began before the day ended.
create function lifecycle.mark_days(instants timestamptz[]) returns void
language plpgsql as $$
begin
    insert into analytics.stale_partitions (asset, partition, xid)
    with days as materialized (
        select distinct to_char(at at time zone installation.timezone, 'YYYY-MM-DD') as day
        from ops.installation
        cross join unnest(instants) as at
        where at is not null
    )
    select finished.asset, finished.partition, pg_current_xact_id()::text::bigint
    from days
    join analytics.finished_partitions as finished
        on finished.asset = 'analytics/campaign_daily_stats' and finished.partition = days.day
    union
    select 'analytics/campaign_daily_stats', days.day, pg_current_xact_id()::text::bigint
    from ops.installation
    cross join lateral to_char(now() at time zone timezone, 'YYYY-MM-DD') as today
    join days on days.day < today
    on conflict do nothing;
end $$;

create function lifecycle.mark_enrolment_days() returns trigger
language plpgsql as $$
begin
    perform lifecycle.mark_days(array(
        select distinct at
        from touched
        cross join lateral (
            values (touched.entered_at), (touched.completed_at), (touched.exited_at)
        ) as instants (at)
        where touched.program_kind = 'campaign'
    ));
    return null;
end $$;

create trigger mark_enrolment_days_after_insert
after insert on lifecycle.enrolments
referencing new table as touched
for each statement execute function lifecycle.mark_enrolment_days();

create trigger mark_enrolment_days_after_delete
after delete on lifecycle.enrolments
referencing old table as touched
for each statement execute function lifecycle.mark_enrolment_days();

-- Nearly all changes are steps forward, which no day counts: so only rows that say otherwise. The
-- step engine, which ends very many at one instant, marks its day once and says so.
create function lifecycle.mark_changed_enrolment_days() returns trigger
language plpgsql as $$
begin
    perform lifecycle.mark_days(array[
        old.entered_at, old.completed_at, old.exited_at,
        new.entered_at, new.completed_at, new.exited_at
    ]);
    return null;
end $$;

create trigger mark_enrolment_days_after_change
after update on lifecycle.enrolments
for each row when (
    new.program_kind = 'campaign'
    and (old.entered_at, old.completed_at, old.exited_at, old.program_id)
        is distinct from (new.entered_at, new.completed_at, new.exited_at, new.program_id)
    and current_setting('lifecycle.marks_days', true) is distinct from 'by itself'
)
execute function lifecycle.mark_changed_enrolment_days();

-- When a program was activated again; what stood still with it is not late.
create function lifecycle.note_resumed() returns trigger
language plpgsql as $$
begin
    new.resumed_at := now();
    return new;
end $$;

create trigger note_resumed
before update on campaigns.campaigns
for each row when (new.status = 'active' and old.status <> 'active')
execute function lifecycle.note_resumed();

create trigger note_resumed
before update on campaigns.sequences
for each row when (new.status = 'active' and old.status <> 'active')
execute function lifecycle.note_resumed();

create trigger note_resumed
before update on journey.journeys
for each row when (new.status = 'active' and old.status <> 'active')
execute function lifecycle.note_resumed();

-- Which events somebody waits for. A type stays: the arrivals that nobody needs any more are few.
create function lifecycle.collect_awaited_steps() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.awaited_events (purpose, organization_id, event_type)
    select distinct 'wait', organization_id, config ->> 'event'
    from touched
    where type = 'wait_for' and config ->> 'event' is not null
    order by 2, 3
    on conflict do nothing;
    return null;
end $$;

create trigger collect_awaited_after_insert
after insert on lifecycle.steps
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_steps();

create trigger collect_awaited_after_change
after update on lifecycle.steps
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_steps();

-- Whoever waits at a step that is edited is looked at anew: what is awaited may be there already.
create function lifecycle.wake_edited_waits() returns trigger
language plpgsql as $$
begin
    update lifecycle.enrolments as enrolment
    set next_step_at = enrolment.arrived_at
    from before_change as before
    join after_change as after using (id)
    where after.type = 'wait_for'
        and before.config is distinct from after.config
        and enrolment.program_kind = after.program_kind
        and enrolment.program_id = after.program_id
        and enrolment.status = 'active'
        and enrolment.step_id = after.id;
    return null;
end $$;

create trigger wake_edited_waits
after update on lifecycle.steps
referencing old table as before_change new table as after_change
for each statement execute function lifecycle.wake_edited_waits();

create function lifecycle.collect_awaited_triggers() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.awaited_events (purpose, organization_id, event_type)
    select distinct 'trigger', organization_id, event_type
    from touched
    where type = 'event' and event_type is not null
    order by 2, 3
    on conflict do nothing;
    return null;
end $$;

create trigger collect_awaited_after_insert
after insert on lifecycle.triggers
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_triggers();

create trigger collect_awaited_after_change
after update on lifecycle.triggers
referencing new table as touched
for each statement execute function lifecycle.collect_awaited_triggers();

-- Contacts stand at steps: a step that is no longer wanted is switched off, never deleted.
create function lifecycle.refuse_delete() returns trigger
language plpgsql as $$
begin
    raise feature_not_supported using message =
        'steps are never deleted, since contacts stand at them: set enabled to false';
end $$;

create trigger refuse_delete
before delete or truncate on lifecycle.steps
for each statement execute function lifecycle.refuse_delete();

-- Notes awaited events in their own transaction: however late it commits, the next pass sees them.
create function lifecycle.note_arrivals() returns trigger
language plpgsql as $$
begin
    insert into lifecycle.event_arrivals (purpose, organization_id, contact_id, event_type, event_id,
                                          occurred_at)
    select awaited.purpose, touched.organization_id, touched.contact_id, touched.event_type,
           touched.event_id, touched.occurred_at
    from touched
    join lifecycle.awaited_events as awaited
        on awaited.organization_id = touched.organization_id
        and awaited.event_type = touched.event_type;
    return null;
end $$;

create trigger note_arrivals
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function lifecycle.note_arrivals();

-- What an event says of whom not to write to any more, and through what; no row: nothing.
create function delivery.suppression_of(event_type text, properties jsonb)
returns table (reason text, channel text)
language sql immutable parallel safe as $$
    select case event_type
               when 'unsubscribed' then 'unsubscribed'
               when 'complained' then 'complaint'
               else 'hard_bounce'
           end,
           case when properties ->> 'channel' in ('sms', 'push', 'all')
               then properties ->> 'channel' else 'email' end
    where event_type in ('unsubscribed', 'complained')
        or event_type = 'bounced' and properties ->> 'bounce_type' = 'hard'
$$;

-- Whoever unsubscribed, complained or cannot be reached is not written to from that very moment.
create function delivery.suppress() returns trigger
language plpgsql as $$
begin
    insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)
    select organization_id, contact_id, channel, reason, min(occurred_at)
    from touched
    cross join lateral delivery.suppression_of(event_type, properties) as suppression
    group by organization_id, contact_id, channel, reason
    order by contact_id, channel, reason
    on conflict do nothing;
    return null;
end $$;

create trigger suppress
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function delivery.suppress();

insert into delivery.suppressions (organization_id, contact_id, channel, reason, since)
select organization_id, contact_id, channel, reason, min(occurred_at)
from analytics.contact_activity
cross join lateral delivery.suppression_of(event_type, properties) as suppression
group by organization_id, contact_id, channel, reason;

-- What the views show is what the tables say of it.
do $$
declare
    column_of_view record;
begin
    for column_of_view in
        select view.oid::regclass as name, attribute.attname as own, origin.description
        from pg_class as view
        join pg_attribute as attribute on attrelid = view.oid and attnum > 0
        cross join lateral (
            select description
            from unnest(array['lifecycle.enrolments', 'lifecycle.triggers', 'lifecycle.step_results',
                              'campaigns.campaigns']::regclass[]) with ordinality as base (oid, place)
            join pg_attribute as same on same.attrelid = base.oid and same.attname = attribute.attname
            join pg_description on objoid = base.oid and objsubid = same.attnum
            order by place
            limit 1
        ) as origin
        where view.relkind = 'v'
            and view.oid in ('lifecycle.programs'::regclass, 'campaigns.campaign_contacts'::regclass,
                             'campaigns.sequence_enrolments'::regclass,
                             'journey.journey_executions'::regclass,
                             'journey.journey_triggers'::regclass,
                             'journey.execution_logs'::regclass,
                             'lifecycle.program_counts'::regclass)
    loop
        execute format('comment on column %s.%I is %L', column_of_view.name, column_of_view.own,
                       column_of_view.description);
    end loop;
end $$;
comment on column lifecycle.used_segments.segment_id is 'Segment';
comment on column lifecycle.programs.kind is 'campaign, sequence or journey';
comment on column lifecycle.programs.id is 'Number among those of its kind';
comment on column lifecycle.programs.status is 'Contacts move while it is active';
comment on column campaigns.campaign_contacts.campaign_id is 'Campaign';
comment on column campaigns.campaign_contacts.current_step_id is
    'Step where the contact stands; null = before the first';
comment on column campaigns.sequence_enrolments.sequence_id is 'Sequence';
comment on column campaigns.sequence_enrolments.current_step_id is
    'Step where the contact stands; null = before the first';
comment on column journey.journey_executions.id is 'Execution number';
comment on column journey.journey_executions.journey_id is 'Journey';
comment on column journey.journey_executions.current_step_id is
    'Step where the contact stands; null = before the first';
comment on column journey.journey_executions.started_at is 'When the contact entered';
comment on column journey.journey_executions.completed_at is 'When it ended, however it did';
comment on column journey.journey_triggers.id is 'Trigger number';
comment on column journey.journey_triggers.journey_id is 'Journey';
comment on column journey.execution_logs.execution_id is 'Execution';
comment on column journey.execution_logs.journey_id is 'Journey';
comment on column journey.execution_logs.step is 'Name of the step in its journey';
comment on column journey.execution_logs.level is 'info, or warning where it was canceled or failed';
comment on column journey.execution_logs.message is 'What happened';
comment on column journey.execution_logs.created_at is 'Tick at which it happened';
comment on column lifecycle.program_counts.entered is 'Enrolments ever';
comment on column lifecycle.program_counts.active is 'Those under way';
comment on column lifecycle.program_counts.completed is 'Those that went through the last step';
comment on column lifecycle.program_counts.exited is 'Those that left before, canceled ones included';
comment on column lifecycle.program_counts.failed is 'Those for whom a step could not be done';

-- What steps are configured with may hold addresses and tokens of other systems.
grant usage on schema delivery, lifecycle, campaigns, journey to marketing_reader;
grant select on delivery.messages, delivery.suppressions to marketing_reader;
grant select on lifecycle.programs, lifecycle.enrolments, lifecycle.step_results,
    lifecycle.program_counts to marketing_reader;
grant select (id, organization_id, program_kind, program_id, external_id, name, position, type,
              enabled) on lifecycle.steps to marketing_reader;
grant select on journey.journeys, journey.journey_executions, journey.journey_triggers,
    journey.execution_logs to marketing_reader;
grant select on campaigns.campaigns, campaigns.campaign_contacts, campaigns.sequences,
    campaigns.sequence_enrolments to marketing_reader;
-- What is broken, and what people were told.
grant usage on schema crm to marketing_reader;
grant select on crm.tasks to marketing_reader;
grant select on ops.item_failures, ops.incidents, ops.alerts to marketing_reader;
revoke all on all functions in schema lifecycle, delivery from public;
