-- The users of an organization who may get contacts, in the order of the setting or of their numbers,
-- and the names of the setting that no user has.
select array_agg(candidate.id order by named.place, candidate.id)
           filter (where candidate.active) as users,
       array_agg(named.name order by named.place)
           filter (where candidate.id is null and named.name is not null) as unknown
from unnest(cast(:names as text[])) with ordinality as named (name, place)
full join (
    select id, external_id, active
    from crm.users
    where organization_id = :organization_id
        and case
            when cast(:names as text[]) is null then role = 'rep'
            else external_id = any(cast(:names as text[]))
        end
) as candidate on candidate.external_id = named.name
