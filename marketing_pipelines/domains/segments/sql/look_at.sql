-- The contacts that were touched or moved, each once.
create temporary table looked_at on commit drop as
select contact_id from touched union select contact_id from moved order by contact_id
