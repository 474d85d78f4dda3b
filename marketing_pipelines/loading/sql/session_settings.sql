-- PostgreSQL. A session that loads: memory to sort a batch, and a small sample for the statistics of
-- the large temporary tables, which are analysed once a batch; the small ones are not, and would be
-- sorted for merge joins.
select set_config(name, value, false)
from (values
    ('work_mem', '64MB'),
    ('temp_buffers', '32MB'),
    ('default_statistics_target', '5'),
    ('enable_mergejoin', 'off'),
    ('jit', 'off')
) as settings (name, value)
