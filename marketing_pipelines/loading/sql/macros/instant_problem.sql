-- DuckDB. Why a text gave no instant (null: it did, or there is no text).
create macro instant_problem(value, instant, zone) as
    case
        when value is null or instant is not null then null
        when read_instant(value, zone) is not null
            or regexp_full_match(value, '-?\d{4,}-\d\d-\d\d.*(BC).*|-\d{4,}-\d\d-\d\d.*|\d{5,}-\d\d-\d\d.*')
            then '''' || left(value, 60) || ''' is out of range: instants lie between 0001-01-02T00:00:00Z and 9999-12-31T10:00:00Z'
        when regexp_full_match(value, '\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d+)?)?)?')
            and try_cast(value as timestamp) is not null
            then '''' || value || ''' has no zone: write it like 2024-01-31T13:00:00+01:00, or name its zone with --timezone'
        when regexp_full_match(value, '-?(\d{9,10}(\.\d+)?|\d{13}(\.\d+)?|\d{16}|\d{19})')
            then '''' || value || ''' looks like epoch ' ||
                case length(regexp_extract(value, '\d+'))
                    when 13 then 'milliseconds' when 16 then 'microseconds'
                    when 19 then 'nanoseconds' else 'seconds' end
                || ': write instants like 2024-01-31T13:00:00Z'
        when regexp_full_match(value, '\d{1,2}[./-]\d{1,2}[./-]\d{4}.*')
            then '''' || left(value, 60) || ''' begins with a day or a month: write it like 2024-01-31T13:00:00Z'
        else '''' || left(value, 60) || ''' is not an ISO 8601 instant such as 2024-01-31T13:00:00Z'
    end
