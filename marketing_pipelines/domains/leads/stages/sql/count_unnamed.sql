-- The stages of contacts that no rule names, with the number of contacts.
select lower(lifecycle_stage) as stage, count(*) as contacts
from crm.contacts
where organization_id = :organization_id
    and lower(lifecycle_stage) <> all(cast(:stages as text[]))
group by 1
order by 2 desc, 1
