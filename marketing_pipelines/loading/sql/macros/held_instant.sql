-- DuckDB. An instant, or null where Python cannot hold it in every zone.
create macro held_instant(instant) as
    case
        when instant >= timestamptz '0001-01-02 00:00:00+00'
            and instant < timestamptz '9999-12-31 10:00:00+00' then instant
    end
