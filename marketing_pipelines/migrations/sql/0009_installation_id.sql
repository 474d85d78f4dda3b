-- The lake carries the same identity in its file `installation`.
alter table ops.installation
    add column installation_id uuid not null default gen_random_uuid();
