-- DuckDB. Why a text is not a JSON object that jsonb can hold (null: it is one). DuckDB also reads
-- NaN, Infinity and trailing commas; they are looked for outside strings, and only where their
-- letters occur at all.
create macro json_problem(value) as
    case
        when value is null then null
        when not json_valid(value) then 'is not valid JSON'
        when json_type(case when json_valid(value) then value end) <> 'OBJECT'
            then 'is not a JSON object'
        when contains(value, '\u0000') and regexp_matches(value, '(^|[^\\])(\\\\)*\\u0000')
            then 'contains a NUL character (\u0000)'
        when regexp_matches(value, '(?i)nan|inf|,\s*[}\]]|[\d.]e[+-]?\d{5,}\s*[,}\]]')
            and regexp_matches(
                regexp_replace(value, '"(?:[^"\\]|\\.)*"', '""', 'g'),
                '(?i)nan|inf|,\s*[}\]]|[\d.]e[+-]?\d{5,}')
            then 'is not valid JSON (NaN, Infinity, a trailing comma or a number out of range)'
    end
