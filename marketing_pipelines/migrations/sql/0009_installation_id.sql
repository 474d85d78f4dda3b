-- The lake carries the same identity in its file `installation`.
alter table ops.installation
    add column installation_id uuid not null default gen_random_uuid();
comment on column ops.installation.installation_id is
    'Identity that the event lake of this database carries as well';
