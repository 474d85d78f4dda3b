-- Begins the memberships of contacts that belong now.
insert into segments.memberships (segment_id, contact_id, entered_at)
select :id, contact_id, :now from changes where entered order by contact_id
