-- The companies of matches that no company of the organization has the domain of.
with given as (
    select distinct on (match.domain) match.domain, match.company, match.facts
    from jsonb_to_recordset(:matches) as match (domain text, company text, facts jsonb)
    where match.domain is not null
    order by match.domain
)
insert into crm.companies (organization_id, external_id, name, domain, attributes)
select :organization_id, 'domain:' || given.domain, given.company, given.domain, given.facts
from given
where not exists (
    select from crm.companies as known
    where known.organization_id = :organization_id and lower(known.domain) = given.domain
)
order by given.domain
on conflict (organization_id, external_id) do nothing
