-- The moves of a tick, and the stage that each moved contact has reached; gone with the transaction.
create temporary table if not exists stage_moves (
    contact_id bigint, place integer, "from" text, "to" text, reason text,
    primary key (contact_id, place)
) on commit drop;
create temporary table if not exists reached_stages (
    contact_id bigint primary key, stage text, started text
) on commit drop;
truncate stage_moves, reached_stages
