-- The rows of a reading.
create temporary table if not exists sheet_rows (
    position integer, data jsonb, fields jsonb, address text, external_id text,
    submitted_at timestamptz, problem text
)
