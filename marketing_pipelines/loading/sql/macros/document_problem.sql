-- DuckDB. The reason why a line is not a JSON object (null: it is one). Its values are checked
-- later, with the known columns.
create macro document_problem(value) as
    case
        when not json_valid(value) then 'is not valid JSON'
        when json_type(case when json_valid(value) then value end) <> 'OBJECT'
            then 'is not a JSON object'
        when regexp_matches(value, 'NaN|Infinity|,\s*[}\]]')
            and regexp_matches(
                regexp_replace(value, '"(?:[^"\\]|\\.)*"', '""', 'g'), 'NaN|Infinity|,\s*[}\]]')
            then 'is not valid JSON (NaN, Infinity or a trailing comma)'
    end
