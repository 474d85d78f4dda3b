-- DuckDB. Lines of JSON as rows: the known columns as text, `extras` one JSON object of the other
-- keys, `keys` all keys of the line, `problem` why the line is no row (null: it is one). `$nulls`
-- is an object in which each known column is null: as a merge patch it removes them.
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
                   when len(keys) > $max_columns
                       then 'has ' || len(keys) || ' keys, more than ' || $max_columns
                   else problem
               end as problem),
           not list_has_all($known, keys) as has_others
    from opened
)
select line, {values},
       case when has_others then json_merge_patch(document, $nulls)::varchar end as extras,
       keys, problem
from unknown
