-- DuckDB. Why a text is no list (null: it is one, or there is no text). Texts are parted by
-- semicolons; a JSON list of plain values is one too.
create macro list_problem(value) as
    case
        when value is null or not regexp_matches(value, '^\s*[\[{]') or not json_valid(value) then null
        when json_type(case when json_valid(value) then value end) <> 'ARRAY'
            then 'is an object, but texts parted by semicolons or a JSON list are needed'
        when json_problem('{"value":' || value || '}') is not null
            then json_problem('{"value":' || value || '}')
        when list_has_any(
                json_type(case when json_valid(value) then value end, '$[*]'),
                ['OBJECT', 'ARRAY', 'NULL'])
            then 'holds a value that is neither text nor number'
    end
