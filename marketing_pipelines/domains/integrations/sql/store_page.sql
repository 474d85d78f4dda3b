-- One page of a listing: its destinations are inserted, updated where they differ, and back where
-- they were gone. Each is noted as listed, and so is each whose item was refused. Destinations that
-- the page had before leave it; a complete listing has them elsewhere, or they are gone. Returns
-- those that are new or changed.
with item as (
    select given.id as external_id, given.name, given.url, given.updated_at
    from jsonb_to_recordset(:items)
        as given (id text, name text, url text, updated_at timestamptz)
),
present as (
    select external_id from item
    union
    select unnest(cast(:refused as text[]))
),
listed as (
    insert into listed_destinations (external_id)
    select external_id from present
    on conflict do nothing
),
moved as (
    update crm.destinations as known
    set page = null
    where known.organization_id = :organization_id and known.listed_by = :connection_id
        and known.page = cast(:page as text)
        and known.external_id not in (select external_id from present)
)
insert into crm.destinations as known
    (organization_id, external_id, name, url, updated_at, listed_by, page)
select :organization_id, item.external_id, item.name, item.url, item.updated_at, :connection_id,
       cast(:page as text)
from item
order by item.external_id
on conflict (organization_id, external_id) do update
set name = excluded.name, url = excluded.url, updated_at = excluded.updated_at,
    listed_by = excluded.listed_by, page = excluded.page, gone_at = null
where (known.name, known.url, known.updated_at, known.listed_by, known.page, known.gone_at)
    is distinct from (excluded.name, excluded.url, excluded.updated_at, excluded.listed_by,
                      excluded.page, null)
returning known.id
