-- DuckDB. Lines of JSON as rows: the known columns as text, `extras` one JSON object of the other
-- keys, `keys` all keys of the line, `problem` why the line is no row (null: it is one).
with judged as (
    select line, document_problem(document) as problem,
           case when problem is null then document end as document
    from batch
), opened as (
    select line, document,
           problem,
           json_extract_string(document, $paths) as texts,
           json_keys(document) as keys
    from judged
), unknown as (
    select * replace (
               case
                   when problem is null and ({looks_nested})
                       and list_has_any(
                           json_type(case when {looks_nested} then document end, $plain),
                           ['OBJECT', 'ARRAY'])
                       then 'a column that is text holds an object or a list'
                   else problem
               end as problem),
           list_filter(keys, key -> not list_contains($known, key)) as others
    from opened
)
select line, {values},
       case when len(others) > 0 then
           '{{' || array_to_string(list_transform(others, key ->
               to_json(key)::varchar || ':' ||
               json_extract(document, '/' || replace(replace(key, '~', '~0'), '/', '~1'))::varchar
           ), ',') || '}}'
       end as extras,
       keys, problem
from unknown
