-- A notification to each active admin about the insight of a day.
select users.id as user_id, cast(null as bigint) as contact_id, 'daily_insight' as kind,
       cast(:title as text) as title, cast(:text as text) as text,
       'insight:' || insight.date as ref, 'insights' as subject, cast(insight.date as text) as period
from sales.insights as insight
join crm.users as users
    on users.organization_id = insight.organization_id and users.role = 'admin' and users.active
where insight.organization_id = :organization_id and insight.date = :date
