-- DuckDB. The instant of an ISO 8601 text; one without a zone is read in `zone` (null: it is not
-- read). Null for other texts.
create macro read_instant(value, zone) as
    case
        when value is null then null
        when regexp_full_match(value, '\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)')
            then try_cast(value as timestamptz)
        when regexp_full_match(value, '(?i)\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)')
            then try_cast(
                regexp_replace(upper(value), '([T ]\d\d:\d\d)([Z+-])', '\1:00\2') as timestamptz)
        when zone is not null
            and regexp_full_match(value, '\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)?')
            then local_instant(try_cast(value as timestamp), zone)
    end
