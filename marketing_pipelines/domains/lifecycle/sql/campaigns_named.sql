-- The campaigns with these external ids, of whatever organization.
select organization_id, external_id, id
from campaigns.campaigns
where organization_id = any(cast(:organizations as bigint[]))
    and external_id = any(cast(:names as text[]))
