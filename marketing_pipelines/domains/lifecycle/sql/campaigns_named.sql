-- The campaigns with these external ids, of whatever organization.
select organization_id, external_id, id
from lifecycle.programs
where kind = 'campaign'
    and organization_id = any(cast(:organizations as bigint[]))
    and external_id = any(cast(:names as text[]))
