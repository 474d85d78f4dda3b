-- Companies by their numbers.
select id, coalesce(name, domain, external_id) as name, domain, attributes ->> 'industry' as industry,
       attributes ->> 'employees' as employees, attributes ->> 'competitor' as competitor
from crm.companies
where id = any(:companies)
