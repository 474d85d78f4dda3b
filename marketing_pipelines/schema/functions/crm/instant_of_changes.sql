-- The instant of changes of this transaction that name none themselves: that of the load or
-- job, where it gives one (`date_changes`), else now.
create or replace function crm.instant_of_changes() returns timestamptz
language sql stable as $$
    select coalesce(
        cast(nullif(current_setting('crm.instant_of_changes', true), '') as timestamptz), now()
    )
$$;
comment on function crm.instant_of_changes() is
    'When changes of this transaction happen that name no instant: that of their job or load, else now';
