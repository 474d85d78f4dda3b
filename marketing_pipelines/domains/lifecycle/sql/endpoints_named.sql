-- The endpoints of organizations with some URLs: of several with one URL the first that is enabled.
select distinct on (organization_id, url) organization_id, url, id
from webhooks.endpoints
where organization_id = any(cast(:organizations as bigint[]))
    and url = any(cast(:urls as text[]))
order by organization_id, url, state = 'disabled', id
