-- Functions and triggers of the first release: month partitions, event keys, marks.

create table analytics.contact_activity_default partition of analytics.contact_activity default;
comment on table analytics.contact_activity_default is
    'Events of months that have no partition of their own yet';

-- Makes the partition of one UTC month, moving rows that waited in the default partition.
-- Two-step (create, then attach) because `create table … partition of` would lock all readers.
create function analytics.ensure_activity_month(month date) returns void
language plpgsql as $$
declare
    first_instant constant timestamptz := date_trunc('month', month)::timestamp at time zone 'UTC';
    next_instant constant timestamptz :=
        (date_trunc('month', month) + interval '1 month')::timestamp at time zone 'UTC';
    leaf constant text := 'contact_activity_' || to_char(month, 'YYYY_MM');
begin
    if to_regclass('analytics.' || leaf) is not null then
        return;
    end if;
    -- A table lock, not an advisory one: only it makes the table that another caller has just made
    -- visible to the second look. Readers and writers do not wait for it.
    lock table analytics.contact_activity in share update exclusive mode;
    if to_regclass('analytics.' || leaf) is not null then
        return;
    end if;
    execute format('create table analytics.%I (like analytics.contact_activity including all)', leaf);
    execute format('comment on table analytics.%I is %L', leaf,
                   'Events of ' || to_char(month, 'YYYY-MM') || ' (UTC)');
    lock table analytics.contact_activity_default in access exclusive mode;
    execute format(
        'with moved as (
             delete from analytics.contact_activity_default
             where occurred_at >= $1 and occurred_at < $2 returning *
         ) insert into analytics.%I select * from moved', leaf)
        using first_instant, next_instant;
    execute format(
        'alter table analytics.contact_activity attach partition analytics.%I
             for values from (%L) to (%L)', leaf, first_instant, next_instant);
end $$;
comment on function analytics.ensure_activity_month(date) is
    'Makes the month''s partition of contact_activity if it is missing';

-- An event id is taken once per organization, whichever month it falls in. A row that was received
-- earlier than the one that holds the id takes its place; any other repeat is refused.
create function analytics.claim_event_keys() returns trigger
language plpgsql as $$
declare
    refused text;
    new_ids bigint[];
    old_ids bigint[];
    old_instants timestamptz[];
    first_instant timestamptz;
    last_instant timestamptz;
begin
    -- Nearly always all ids are free, and a plain insert finds that out with a quarter less work.
    begin
        insert into analytics.event_keys (organization_id, event_id, activity_id, occurred_at, received_at)
        select organization_id, event_id, id, occurred_at, received_at
        from inserted
        order by organization_id, event_id;
        return null;
    exception when unique_violation then
        insert into analytics.event_keys (organization_id, event_id, activity_id, occurred_at, received_at)
        select organization_id, event_id, id, occurred_at, received_at
        from inserted
        order by organization_id, event_id, received_at, occurred_at, id
        on conflict do nothing;
    end;

    -- Repeats are rare; one transaction at a time decides between them.
    perform pg_advisory_xact_lock(hashtext('analytics.claim_event_keys'));

    -- One index look-up per new row (`offset 0` keeps the planner from turning the join around).
    -- Everything from here is planned each time: a plan made while the tables were small would stay.
    execute $repeats$
        select min(format('event %s of organization %s is stored already',
                          inserted.event_id, inserted.organization_id))
                   filter (where (held.received_at, held.occurred_at)
                              <= (inserted.received_at, inserted.occurred_at)),
               array_agg(inserted.id), array_agg(held.activity_id), array_agg(held.occurred_at),
               min(held.occurred_at), max(held.occurred_at)
        from inserted
        cross join lateral (
            select activity_id, occurred_at, received_at
            from analytics.event_keys
            where event_keys.organization_id = inserted.organization_id
                and event_keys.event_id = inserted.event_id
                and event_keys.activity_id <> inserted.id
            offset 0
        ) as held
    $repeats$ into refused, new_ids, old_ids, old_instants, first_instant, last_instant;
    if refused is not null then
        raise unique_violation using message = refused;
    end if;

    execute $losers$
        delete from analytics.contact_activity as loser
        using unnest($1, $2) as replaced (id, occurred_at)
        where loser.id = replaced.id
            and loser.occurred_at = replaced.occurred_at
            and loser.occurred_at between $3 and $4
    $losers$ using old_ids, old_instants, first_instant, last_instant;

    execute $claims$
        update analytics.event_keys as held
        set activity_id = inserted.id,
            occurred_at = inserted.occurred_at,
            received_at = inserted.received_at
        from inserted
        where inserted.id = any ($1)
            and held.organization_id = inserted.organization_id
            and held.event_id = inserted.event_id
    $claims$ using new_ids;
    return null;
end $$;

create trigger claim_event_keys
after insert on analytics.contact_activity
referencing new table as inserted
for each statement execute function analytics.claim_event_keys();

-- Marks the hours that a statement touched. The running hour is left out: the clock does it, and
-- one mark per transaction would be one row per transaction. The export of an hour waits for
-- transactions that began before the hour ended, so nothing falls between the two.
create function analytics.mark_touched_hours() returns trigger
language plpgsql as $$
begin
    insert into analytics.stale_partitions (asset, partition, xid)
    select 'analytics/contact_activity',
           to_char(hour at time zone 'UTC', 'YYYY-MM-DD-HH24:00'),
           pg_current_xact_id()::text::bigint
    from (
        select distinct date_bin('1 hour', occurred_at, timestamptz '2000-01-01 00:00:00+00') as hour
        from touched
    ) as hours
    where hour + interval '1 hour' <= clock_timestamp()
    order by hour
    on conflict do nothing;
    return null;
end $$;

create trigger mark_touched_hours_after_insert
after insert on analytics.contact_activity
referencing new table as touched
for each statement execute function analytics.mark_touched_hours();

create trigger mark_touched_hours_after_delete
after delete on analytics.contact_activity
referencing old table as touched
for each statement execute function analytics.mark_touched_hours();

create function analytics.refuse_update() returns trigger
language plpgsql as $$
begin
    raise feature_not_supported using message =
        'analytics.contact_activity is append-only: insert a new event instead of changing one';
end $$;

create trigger refuse_update
before update or truncate on analytics.contact_activity
for each statement execute function analytics.refuse_update();

-- Campaign days that are over or done become stale when enrolments of that day change. Whether a
-- day is over is judged by the writer's own time, here and below: a trigger has no tick. The count of
-- a day waits for transactions that began before the day ended.
create function campaigns.mark_enrolment_days() returns trigger
language plpgsql as $$
begin
    with days as materialized (
        select distinct to_char(instants.at at time zone installation.timezone, 'YYYY-MM-DD') as day
        from ops.installation
        cross join touched
        cross join lateral (
            values (touched.entered_at), (touched.completed_at), (touched.exited_at)
        ) as instants (at)
        where instants.at is not null
    )
    insert into analytics.stale_partitions (asset, partition, xid)
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
    return null;
end $$;

create trigger mark_enrolment_days_after_insert
after insert on campaigns.campaign_contacts
referencing new table as touched
for each statement execute function campaigns.mark_enrolment_days();

create trigger mark_enrolment_days_after_delete
after delete on campaigns.campaign_contacts
referencing old table as touched
for each statement execute function campaigns.mark_enrolment_days();

create trigger mark_enrolment_days_before_change
after update on campaigns.campaign_contacts
referencing old table as touched
for each statement execute function campaigns.mark_enrolment_days();

create trigger mark_enrolment_days_after_change
after update on campaigns.campaign_contacts
referencing new table as touched
for each statement execute function campaigns.mark_enrolment_days();

-- Campaign days that are done already, and yesterday, which may be counted this very moment, become
-- stale when a campaign's life turns out to be another: from its start, or, where only its
-- cancellation changed, from the earlier of the two instants.
create function campaigns.mark_campaign_days() returns trigger
language plpgsql as $$
declare
    changed_from timestamptz;
begin
    if tg_op = 'UPDATE' then
        select min(case
                       when before.started_at is distinct from after.started_at
                           then least(before.started_at, after.started_at)
                       else least(before.cancelled_at, after.cancelled_at)
                   end)
        into changed_from
        from before_change as before
        join after_change as after using (id)
        where (before.started_at, before.cancelled_at)
            is distinct from (after.started_at, after.cancelled_at);
    else
        select min(started_at) into changed_from from touched;
    end if;
    insert into analytics.stale_partitions (asset, partition, xid)
    select 'analytics/campaign_daily_stats', day, pg_current_xact_id()::text::bigint
    from ops.installation
    cross join lateral (
        select finished.partition as day
        from analytics.finished_partitions as finished
        where finished.asset = 'analytics/campaign_daily_stats'
        union
        select to_char((now() at time zone timezone) - interval '1 day', 'YYYY-MM-DD')
    ) as days
    where day >= to_char(changed_from at time zone timezone, 'YYYY-MM-DD')
    on conflict do nothing;
    return null;
end $$;

create trigger mark_campaign_days_after_insert
after insert on campaigns.campaigns
referencing new table as touched
for each statement execute function campaigns.mark_campaign_days();

create trigger mark_campaign_days_after_change
after update on campaigns.campaigns
referencing old table as before_change new table as after_change
for each statement execute function campaigns.mark_campaign_days();

create trigger mark_campaign_days_after_delete
after delete on campaigns.campaigns
referencing old table as touched
for each statement execute function campaigns.mark_campaign_days();
