-- The deals that are open at an instant, with their stage then and the instant at which it last changed.
create or replace function sales.open_deals(tick timestamptz) returns table (
    id bigint, organization_id bigint, name text, contact_id bigint, company_id bigint,
    owner_id bigint, pipeline text, stage text, amount numeric, currency text,
    expected_close_on date, competitor text, created_at timestamptz, moved_at timestamptz
)
language sql stable parallel safe as $$
    select deal.id, deal.organization_id, coalesce(deal.name, deal.external_id), deal.contact_id,
           deal.company_id, deal.owner_id, deal.pipeline,
           case when deal.stage_changed_at >= tick then earlier.stage else deal.stage end,
           deal.amount, deal.currency, deal.expected_close_on, deal.attributes ->> 'competitor',
           deal.created_at,
           case when deal.stage_changed_at >= tick then coalesce(earlier.at, deal.created_at)
               else coalesce(deal.stage_changed_at, deal.created_at) end
    from crm.deals as deal
    left join lateral (
        select history."to" as stage, history.at
        from crm.deal_stage_history as history
        where history.deal_id = deal.id and history.at < tick and deal.stage_changed_at >= tick
        order by history.at desc, history.id desc
        limit 1
    ) as earlier on true
    where deal.created_at < tick
        and (
            deal.status = 'open'
            or deal.status in ('won', 'lost')
                and coalesce(deal.closed_at, deal.stage_changed_at, deal.created_at) >= tick
        )
$$;
