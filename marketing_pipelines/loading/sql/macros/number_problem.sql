-- DuckDB. Why a text is no number in plain decimal notation (null: it is one, or there is no text).
create macro number_problem(value) as
    case
        when value is null or regexp_full_match(value, '[+-]?\d{1,18}(\.\d{1,9})?') then null
        when regexp_full_match(value, '[+-]?\d+,\d+')
            then '''' || left(value, 60) || ''' has a decimal comma: write it like 1250.50'
        else '''' || left(value, 60) || ''' is no number such as 1250.50'
    end
