-- DuckDB. Why PostgreSQL could not store a text (null: it can).
create macro text_problem(value) as
    case when contains(value, chr(0)) then 'contains a NUL character' end
