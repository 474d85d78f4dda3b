-- The submissions of a reading, each with the stored one that it continues.
create temporary table if not exists read_submissions (
    identity text primary key, row_hash text not null, position integer not null,
    copies integer not null, data jsonb not null, fields jsonb not null, address text,
    external_id text, submitted_at timestamptz, problem text,
    submission_id bigint unique, former jsonb, is_changed boolean not null default true,
    contact_id bigint, contact_name text
)
