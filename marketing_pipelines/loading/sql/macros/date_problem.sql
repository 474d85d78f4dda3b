-- DuckDB. Why a text is no day of the calendar (null: it is one, or there is no text).
create macro date_problem(value) as
    case
        when value is null or (
            regexp_full_match(value, '\d{4}-\d\d-\d\d') and value >= '0001'
            and try_cast(value as date) is not null) then null
        else '''' || left(value, 60) || ''' is no day such as 2024-01-31'
    end
