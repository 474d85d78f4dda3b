-- The steps `webhook` of a file whose organization has no endpoint with their URL.
select loaded.line, loaded.organization_id as organization,
       loaded.fields #>> '{config,url}' as url
from loaded_steps as loaded
join crm.organizations as organization on organization.external_id = loaded.organization_id
where loaded.fields ->> 'type' = 'webhook'
    and loaded.fields #>> '{config,url}' is not null
    and not exists (
        select from webhooks.endpoints as endpoint
        where endpoint.organization_id = organization.id
            and endpoint.url = loaded.fields #>> '{config,url}'
    )
order by loaded.line
