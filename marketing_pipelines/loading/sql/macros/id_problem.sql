-- DuckDB. Why a text cannot be an external id (null: it can). Longer ones do not fit the index.
-- Only a text that sorts before '!' can be blank; asking that first spares trimming every id.
create macro id_problem(value) as
    case
        when value is null or (value < '!' and trim(value, e' \t\r\n') = '') then 'is missing'
        when strlen(value) > 2000 then 'is longer than 2000 bytes'
        when contains(value, chr(0)) then 'contains a NUL character'
    end
