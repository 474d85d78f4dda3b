-- Makes the ledger of a day what the travel dates and stages say; equal rows are not touched. The
-- points of a day are those of the first band that reaches it; with `repeat_daily` off, only the
-- band's first day earns, or the opportunity's own if that is later.
with band as (
    select up_to_days, points, coalesce(lag(up_to_days) over (order by up_to_days) + 1, 0) as from_days
    from jsonb_to_recordset(cast(:bands as jsonb)) as bands (up_to_days integer, points integer)
),
earned as (
    select opportunity.id, band.points
    from crm.opportunities as opportunity
    cross join lateral (
        select cast(opportunity.created_at at time zone :zone as date) as created_on,
               opportunity.travel_date - cast(:date as date) as days
    ) as age
    join band on age.days between band.from_days and band.up_to_days
    where opportunity.organization_id = :organization_id
        and opportunity.travel_date between cast(:date as date)
            and cast(:date as date) + cast(:longest as integer)
        and not opportunity.deleted
        and lower(coalesce(opportunity.stage, '')) <> all(cast(:excluded as text[]))
        and age.created_on <= cast(:date as date)
        and (:repeat_daily or age.days = band.up_to_days or age.created_on = cast(:date as date))
        and band.points > 0
),
forgotten as (
    delete from leads.opportunity_points as ledger
    where ledger.organization_id = :organization_id and ledger.date = :date
        and not exists (select from earned where earned.id = ledger.opportunity_id)
    returning 1
),
stored as (
    insert into leads.opportunity_points as ledger (organization_id, opportunity_id, date, points)
    select :organization_id, id, :date, points
    from earned
    order by id
    on conflict (opportunity_id, date) do update set points = excluded.points
    where ledger.points <> excluded.points
    returning 1
)
select (select count(*) from earned) as rows,
       (select count(*) from forgotten) + (select count(*) from stored) as changed
