-- Contacts whose answers can differ: in every segment, because their data changed; in one, because
-- time moved. Room to hash a million contacts.
set local work_mem = '64MB';
create temporary table touched (contact_id bigint primary key) on commit drop;
create temporary table moved (segment_id bigint, contact_id bigint) on commit drop
