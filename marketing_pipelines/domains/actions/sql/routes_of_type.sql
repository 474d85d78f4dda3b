-- The routes of an organization that take actions of a type.
select external_id, target, name
from actions.routes
where organization_id = :organization_id and enabled
    and (type = :type or type like '%*' and starts_with(:type, left(type, -1)))
order by external_id
