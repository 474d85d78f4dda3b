-- DuckDB. One row for each entity of a batch: the fields of its rows one after the other, in the
-- file's order; where a field comes twice, PostgreSQL keeps the last. `rows` is how many rows there
-- are, `key_hash` tells entities of the whole file apart.
select max(line) as line, count(*) as rows, hash({keys}) as key_hash, {keys}, {others}
       '{{' || coalesce(string_agg(nullif(fields, ''), ',' order by line), '') || '}}' as fields,
       '{{' || string_agg(nullif(extras, ''), ',' order by line) || '}}' as extras
from batch
group by {keys}
order by 1
