-- Time zones: offsets from the package `tzdata`, written by `migrate`; the server's own zones are
-- read by no statement.
create table ops.zones (
    name text not null,
    starts_at timestamptz[] not null,
    starts_local timestamp[] not null,
    utc_offsets interval[] not null,
    constraint zones_pkey primary key (name)
);

alter table ops.installation add column zones_version text;

drop function segments.as_instant(text, text);
