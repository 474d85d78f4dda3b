-- Publishes the changes of deals: of their stage, and that they were won or lost. The beginning of a
-- deal is no change.
create or replace function crm.publish_deal_changes() returns trigger
language plpgsql as $$
begin
    execute $query$
        insert into ops.bus_events (organization_id, contact_id, type, version, payload)
        select touched.organization_id, deal.contact_id, change.type, 1,
               jsonb_build_object('deal', deal.external_id, 'from', touched."from",
                                  'to', touched."to", 'at', touched.at)
        from touched
        join crm.deals as deal on deal.id = touched.deal_id
        cross join lateral (
            select 'deal.stage_changed' as type, 1 as place
            where touched."from" is distinct from touched."to"
            union all
            select 'deal.' || touched.to_status, 2
            where touched.to_status in ('won', 'lost')
                and touched.from_status is distinct from touched.to_status
        ) as change
        where touched.from_status is not null
        order by touched.id, change.place
    $query$;
    return null;
end $$;
