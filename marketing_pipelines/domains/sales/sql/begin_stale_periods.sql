-- Begins a period for each deal that is silent for longer than its stage allows, and notes the deals at
-- risk. Ages are exact: a day is 24 hours. Returns the numbers of both.
with stages as (
    select lower(key) as stage, cast(value as integer) as days
    from jsonb_each_text(cast(:days as jsonb))
),
stale as materialized (
    select silence.deal_id, silence.silent_since
    from deal_silences as silence
    left join stages on stages.stage = lower(silence.stage)
    cross join lateral (select coalesce(stages.days, :default_days) as days) as allowed
    where silence.organization_id = :organization_id and not silence.is_planned
        and allowed.days > 0
        and silence.silent_since < :tick - allowed.days * interval '24 hours'
),
begun as (
    insert into sales.stale_deals (deal_id, silent_since, organization_id, stale_at, at_risk_at)
    select deal_id, silent_since, :organization_id, :tick,
           case when silent_since < :tick - :at_risk_days * interval '24 hours'
               then cast(:tick as timestamptz) end
    from stale
    order by deal_id
    on conflict (deal_id, silent_since) do nothing
    returning at_risk_at
),
at_risk as (
    update sales.stale_deals as period
    set at_risk_at = :tick
    from stale
    where period.deal_id = stale.deal_id and period.silent_since = stale.silent_since
        and period.at_risk_at is null and period.ended_at is null and period.stale_at < :tick
        and period.silent_since < :tick - :at_risk_days * interval '24 hours'
    returning 1
)
select (select count(*) from begun) as stale,
       (select count(*) from begun where at_risk_at is not null)
           + (select count(*) from at_risk) as at_risk
