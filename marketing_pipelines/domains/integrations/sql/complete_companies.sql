-- Facts about the companies of matches. A company that the provider made takes its values; of any
-- other only empty fields are filled.
with given as (
    select distinct on (match.domain) match.domain, match.company, match.facts
    from jsonb_to_recordset(:matches) as match (domain text, company text, facts jsonb)
    where match.domain is not null
    order by match.domain
),
completed as (
    select known.id,
           case when known.external_id = 'domain:' || given.domain
               then coalesce(given.company, known.name)
               else coalesce(nullif(btrim(known.name), ''), given.company)
           end as name,
           case when known.external_id = 'domain:' || given.domain
               then known.attributes || given.facts
               else given.facts || known.attributes
           end as attributes
    from given
    join crm.companies as known
        on known.organization_id = :organization_id and lower(known.domain) = given.domain
)
update crm.companies as company
set name = completed.name, attributes = completed.attributes
from completed
where company.id = completed.id
    and (company.name, company.attributes) is distinct from (completed.name, completed.attributes)
