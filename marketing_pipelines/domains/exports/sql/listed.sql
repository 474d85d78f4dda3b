-- Exports, latest first: one (`id`), those of an organization, or those of all, before a number.
-- A file whose time is over is `expired`, whether it is removed already or not.
select request.id, organization.external_id as organization, request.organization_id,
       request.kind, request.format,
       case when request.state = 'ready' and request.expires_at <= :now then 'expired'
           else request.state end as state,
       contact.external_id as contact, segment.external_id as segment,
       request.starts_at, request.ends_at, request.columns, request.requested_by,
       request.expected_rows, request.rows, request.size, request.file, request.attempt,
       request.error, request.note, request.progress_at,
       request.created_at, request.started_at, request.ended_at, request.expires_at,
       coalesce(
           (select array_agg(users.external_id order by users.external_id)
            from crm.users where users.id = any(request.notify)),
           '{}') as notify
from exports.requests as request
join crm.organizations as organization on organization.id = request.organization_id
left join crm.contacts as contact on contact.id = request.contact_id
left join segments.segments as segment on segment.id = request.segment_id
where (cast(:id as bigint) is null or request.id = :id)
    and (cast(:organization_id as bigint) is null or request.organization_id = :organization_id)
    and (cast(:before as bigint) is null or request.id < :before)
order by request.id desc
limit :limit
