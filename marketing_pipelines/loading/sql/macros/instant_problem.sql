-- DuckDB. Why a text gave no instant (null: it did, or there is no text).
create macro instant_problem(value, instant) as
    case
        when value is null or instant is not null then null
        when regexp_full_match(value, '\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?')
            and try_cast(value as timestamp) is not null
            then '''' || value || ''' has no zone: write it like 2024-01-31T13:00:00+01:00, or name its zone with --timezone'
        else '''' || left(value, 60) || ''' is not an ISO 8601 instant such as 2024-01-31T13:00:00Z'
    end
