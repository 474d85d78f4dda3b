-- True if an endpoint with these patterns, such as `deal.*`, wants events of a type; none = all.
create or replace function webhooks.fits(patterns text[], type text) returns boolean
language sql immutable parallel safe as $$
    select patterns = '{}' or exists (
        select from unnest(patterns) as pattern
        where type like replace(replace(pattern, '_', '\_'), '*', '%'))
$$;
