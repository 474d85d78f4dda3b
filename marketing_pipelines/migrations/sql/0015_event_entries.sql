-- Null for the events of before: when they arrived is not known.
alter table analytics.contact_activity add column inserted_at timestamptz;
alter table analytics.contact_activity alter column inserted_at set default now();
comment on column analytics.contact_activity.inserted_at is
    'When the row was stored, which no file can say; null = before it was kept';

alter table lifecycle.triggers drop constraint ck_triggers_policy;
alter table lifecycle.triggers add constraint ck_triggers_policy
    check (policy in ('once', 'each_entry', 'unless_active', 'backfill'));

do $$
declare
    relation text;
begin
    foreach relation in array array['lifecycle.enrolments', 'campaigns.campaign_contacts',
                                    'campaigns.sequence_enrolments'] loop
        execute format('comment on column %s.entered_at is %L', relation,
                       'When the contact entered: the event, else the tick');
    end loop;
    foreach relation in array array['lifecycle.triggers', 'journey.journey_triggers'] loop
        execute format('comment on column %s.config is %L', relation,
                       'Of an event: where; of a date: attribute, days before, yearly, at');
        execute format('comment on column %s.policy is %L', relation,
                       'once = a contact enters once ever; each_entry = every time; unless_active = '
                       'every time but while it is in the program; backfill = once, those of before '
                       'included');
    end loop;
end $$;
comment on column lifecycle.enrolments.arrived_at is
    'Tick at which it came there, or the event that let the contact in';
comment on column journey.journey_executions.started_at is
    'When the contact entered: the event, else the tick';
