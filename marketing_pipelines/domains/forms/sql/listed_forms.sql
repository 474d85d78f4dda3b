-- Every form with the standing of its readings and the numbers of its submissions.
select organization.external_id as organization, form.external_id, form.name, form.spreadsheet_id,
       form.sheet, named.external_id as connection, connection.state as connection_state,
       coalesce(sync.error, connection.error) as connection_error, form.enabled,
       reading.first_tick, reading.last_tick, reading.error, reading.rows,
       coalesce(counted.submissions, 0) as submissions, coalesce(counted.missing, 0) as missing,
       coalesce(counted.without_contact, 0) as without_contact
from forms.forms as form
join crm.organizations as organization on organization.id = form.organization_id
left join integrations.connections as connection on connection.id = form.connection_id
left join integrations.connection_names as named on named.id = form.connection_id
left join integrations.syncs as sync
    on sync.connection_id = form.connection_id and sync.what = 'submissions'
left join forms.readings as reading on reading.form_id = form.id
left join (
    select form_id, count(*) as submissions, count(missing_since) as missing,
           count(*) filter (where contact_id is null) as without_contact
    from forms.submissions
    group by form_id
) as counted on counted.form_id = form.id
where cast(:organization_id as bigint) is null or form.organization_id = :organization_id
order by organization.external_id, form.external_id
