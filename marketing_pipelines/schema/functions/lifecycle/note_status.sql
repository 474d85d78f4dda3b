-- Writes the instant that a status needs where the statement names none, and never clears it while
-- the status lasts.
create or replace function lifecycle.note_status() returns trigger
language plpgsql as $$
begin
    if tg_op = 'UPDATE' then
        if new.status is distinct from old.status then
            -- The instant of an earlier time in a status is not that of this change.
            if new.status = 'active' then
                new.resumed_at := now();
            elsif new.status = 'paused' and new.paused_at is not distinct from old.paused_at then
                new.paused_at := now();
            end if;
            -- A column that only campaigns have is named only where the status is one of theirs.
            if old.status = 'cancelled' then
                if new.cancelled_at is not distinct from old.cancelled_at then
                    new.cancelled_at := null;
                end if;
            elsif old.status = 'completed' then
                if new.completed_at is not distinct from old.completed_at then
                    new.completed_at := null;
                end if;
            end if;
        elsif new.status = 'paused' then
            new.paused_at := coalesce(new.paused_at, old.paused_at);
        elsif new.status = 'cancelled' then
            new.cancelled_at := coalesce(new.cancelled_at, old.cancelled_at);
        elsif new.status = 'completed' then
            new.completed_at := coalesce(new.completed_at, old.completed_at);
        end if;
        if new.status in ('active', 'paused', 'completed') then
            new.started_at := coalesce(new.started_at, old.started_at);
        end if;
    end if;
    if new.status = 'active' then
        new.started_at := coalesce(new.started_at, least(new.paused_at, now()));
    elsif new.status = 'paused' then
        new.paused_at := coalesce(new.paused_at, now());
        new.started_at := coalesce(new.started_at, least(new.paused_at, now()));
    elsif new.status = 'completed' then
        new.completed_at := coalesce(new.completed_at, now());
        new.started_at := coalesce(new.started_at, least(new.completed_at, now()));
    elsif new.status = 'cancelled' then
        new.cancelled_at := coalesce(new.cancelled_at, now());
    end if;
    return new;
end $$;
