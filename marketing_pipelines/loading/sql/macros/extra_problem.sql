-- DuckDB. Why a row may not have unknown columns where there is no place for them (null: it has none).
create macro extra_problem(extras) as
    case when extras is not null
        then 'has unknown columns: ' || left(array_to_string(json_keys(extras), ', '), 200) end
