-- The status of a program, whose row stays locked until the transaction ends: a job that completes
-- programs skips it until then. Null: there is no such program.
create or replace function lifecycle.hold_program(kind text, number bigint) returns text
language plpgsql as $$
declare
    held text;
begin
    case kind
        when 'campaign' then
            select status into held from campaigns.campaigns where id = number for key share;
        when 'sequence' then
            select status into held from campaigns.sequences where id = number for key share;
        else
            select status into held from journey.journeys where id = number for key share;
    end case;
    return held;
end $$;
