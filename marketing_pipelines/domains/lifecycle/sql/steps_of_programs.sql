-- The steps of programs in their order.
select id, organization_id, program_id, external_id, type, config::text as config, enabled
from lifecycle.steps
where program_kind = :kind and program_id = any(cast(:programs as bigint[]))
order by program_id, position, id
