-- Segments with a condition on events of a type that their organization never received.
select organization.external_id as organization, segment.organization_id,
       segment.external_id as segment, segment.rule::text as rule_text
from segments.segments as segment
join crm.organizations as organization on organization.id = segment.organization_id
where exists (
    select
    from jsonb_path_query(segment.rule, '$.**.event ? (@.type() == "string")') as named,
         lateral (select named #>> '{}' as name) as event
    where not exists (
        select
        from segments.event_fields as known
        where known.organization_id = segment.organization_id
            and (known.event_type = event.name
                or event.name like '%*' and starts_with(known.event_type, left(event.name, -1)))
    )
)
order by organization.external_id, segment.external_id
