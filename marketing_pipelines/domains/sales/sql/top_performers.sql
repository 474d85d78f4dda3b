-- The three users of each organization with the most activities of the day: mail out, calls, meetings,
-- notes; then the larger amount won, then the name.
with active as (
    select user_id, count(distinct (origin, origin_id)) as activities
    from crm.timeline
    where occurred_at >= :start and occurred_at < :end and user_id is not null
        and (kind in ('call', 'meeting', 'note') or kind = 'email' and direction = 'out')
    group by user_id
),
won as (
    select owner_id as user_id, sum(amount) as amount
    from crm.deals
    where status = 'won' and closed_at >= :start and closed_at < :end
    group by owner_id
)
select organization_id, id, name, activities, won_amount
from (
    select users.organization_id, users.id, coalesce(users.name, users.external_id) as name,
           active.activities, coalesce(won.amount, 0) as won_amount,
           row_number() over (
               partition by users.organization_id
               order by active.activities desc, coalesce(won.amount, 0) desc,
                   coalesce(users.name, users.external_id), users.id
           ) as place
    from active
    join crm.users as users on users.id = active.user_id
    left join won using (user_id)
) as ranked
where place <= 3
order by organization_id, place
