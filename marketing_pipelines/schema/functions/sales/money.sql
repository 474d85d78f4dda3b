-- An amount with its currency, such as EUR 50,000 or EUR 19.90; null where there is no amount.
create or replace function sales.money(amount numeric, currency text) returns text
language sql immutable parallel safe as $$
    select coalesce(currency || ' ', '') || to_char(
        amount,
        case when amount = trunc(amount) then 'FM999,999,999,999,999,990'
            else 'FM999,999,999,999,999,990.00' end
    )
$$;
