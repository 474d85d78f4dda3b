-- The steps of campaigns in their order.
select id, program_id as campaign_id, external_id, coalesce(name, external_id) as name, type,
       enabled, case when type = 'split' then config::text end as config
from lifecycle.steps
where program_kind = 'campaign' and program_id = any(cast(:campaigns as bigint[]))
order by program_id, position, id
