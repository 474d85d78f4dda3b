-- True if a type of events is one of these names, of which some may end with `*`.
create or replace function leads.is_among(event_type text, names text[]) returns boolean
language sql immutable parallel safe as $$
    select event_type = any(names) or exists (
        select from unnest(names) as given (name)
        where name like '%*' and starts_with(event_type, left(name, -1))
    )
$$;
