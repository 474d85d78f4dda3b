-- The templates of a file as they would be stored: the columns that a row does not set stay.
select loaded.line, organization.id as organization_id,
       coalesce(merged ->> 'channel', 'email') as channel, merged ->> 'category' as category,
       merged ->> 'from' as sender, merged ->> 'subject' as subject, merged ->> 'title' as title,
       merged ->> 'text' as text, merged ->> 'html' as html
from loaded_templates as loaded
left join crm.organizations as organization on organization.external_id = loaded.organization_id
left join delivery.templates as stored
    on stored.organization_id = organization.id and stored.external_id = loaded.external_id
cross join lateral (
    select coalesce(to_jsonb(stored), '{}') || coalesce(loaded.fields, '{}') as merged
) as template
order by loaded.line
