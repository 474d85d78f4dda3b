-- Whose answers can differ: in every segment, and in one of them.
create temporary table touched (contact_id bigint primary key) on commit drop;
create temporary table moved (segment_id bigint, contact_id bigint) on commit drop;
