-- Makes the partition of one UTC month, moving rows that waited in the default partition.
-- Two-step (create, then attach) because `create table … partition of` would lock all readers.
create or replace function analytics.ensure_activity_month(month date) returns void
language plpgsql as $$
declare
    first_instant constant timestamptz := date_trunc('month', month)::timestamp at time zone 'UTC';
    next_instant constant timestamptz :=
        (date_trunc('month', month) + interval '1 month')::timestamp at time zone 'UTC';
    leaf constant text := 'contact_activity_' || to_char(month, 'YYYY_MM');
begin
    if to_regclass('analytics.' || leaf) is not null then
        return;
    end if;
    -- A table lock, not an advisory one: only it makes the table that another caller has just made
    -- visible to the second look. Readers and writers do not wait for it.
    lock table analytics.contact_activity in share update exclusive mode;
    if to_regclass('analytics.' || leaf) is not null then
        return;
    end if;
    execute format('create table analytics.%I (like analytics.contact_activity including all)', leaf);
    execute format('comment on table analytics.%I is %L', leaf,
                   'Events of ' || to_char(month, 'YYYY-MM') || ' (UTC)');
    lock table analytics.contact_activity_default in access exclusive mode;
    execute format(
        'with moved as (
             delete from analytics.contact_activity_default
             where occurred_at >= $1 and occurred_at < $2 returning *
         ) insert into analytics.%I select * from moved', leaf)
        using first_instant, next_instant;
    execute format(
        'alter table analytics.contact_activity attach partition analytics.%I
             for values from (%L) to (%L)', leaf, first_instant, next_instant);
end $$;
comment on function analytics.ensure_activity_month(date) is
    'Makes the month''s partition of contact_activity if it is missing';
