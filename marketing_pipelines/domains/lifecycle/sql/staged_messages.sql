-- The steps of a file whose messages name a template, a category or a sending domain.
select loaded.line, organization.id as organization_id, loaded.fields ->> 'type' as type,
       cast(loaded.fields -> 'config' as text) as config
from loaded_steps as loaded
left join crm.organizations as organization on organization.external_id = loaded.organization_id
where jsonb_exists_any(loaded.fields -> 'config', array['template', 'category', 'from'])
order by loaded.line
