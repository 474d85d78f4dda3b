-- Ends the periods whose deal has a newer activity, or is not open any more at the tick. Settles their
-- tasks and takes the tag off. Returns the number of periods by their end.
with ended as (
    update sales.stale_deals as period
    set ended_at = :tick,
        ended_by = case when silence.deal_id is not null then 'activity'
            when deal.status = 'lost' then 'lost' else 'won' end
    from crm.deals as deal
    left join deal_silences as silence on silence.deal_id = deal.id
    where period.deal_id = deal.id and period.organization_id = :organization_id
        and period.ended_at is null and period.stale_at < :tick
        and (silence.deal_id is null or silence.silent_since > period.silent_since)
    returning period.deal_id, period.silent_since, period.ended_by, period.at_risk_at
),
settled as (
    update crm.tasks as task
    set state = case when ended.ended_by = 'activity' then 'done' else 'dropped' end,
        done_at = case when ended.ended_by = 'activity' then cast(:tick as timestamptz) end
    from ended
    where task.organization_id = :organization_id and task.job = :job
        and task.subject = 'deal ' || ended.deal_id
        and task.period = sales.period_of(ended.silent_since)
        and task.state = 'open'
),
untagged as (
    update crm.deals as deal
    set tags = array_remove(deal.tags, 'at-risk')
    from ended
    where deal.id = ended.deal_id and ended.at_risk_at is not null and 'at-risk' = any(deal.tags)
)
select ended_by, count(*) as periods from ended group by ended_by order by ended_by
