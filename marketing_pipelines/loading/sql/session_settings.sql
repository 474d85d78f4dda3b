-- PostgreSQL. A session that loads: memory to sort a batch, and a small sample for the statistics of
-- the temporary tables, which are analysed once a batch.
select set_config(name, value, false)
from (values
    ('work_mem', '64MB'),
    ('temp_buffers', '32MB'),
    ('default_statistics_target', '5'),
    ('jit', 'off')
) as settings (name, value)
