-- An event id is taken once per organization, over all months. A row that was received earlier than
-- the one that holds the id takes its place; any other repeat is refused.
create or replace function analytics.claim_event_keys() returns trigger
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
