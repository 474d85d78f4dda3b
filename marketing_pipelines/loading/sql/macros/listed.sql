-- DuckDB. The list that a text means, as JSON (see list_problem).
create macro listed(value) as
    case
        when regexp_matches(value, '^\s*\[') and json_valid(value) then value
        else to_json(
            list_filter(
                list_transform(string_split(value, ';'), lambda item: trim(item)),
                lambda item: item <> ''))::varchar
    end
