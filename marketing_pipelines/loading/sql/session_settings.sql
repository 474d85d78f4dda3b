-- PostgreSQL. A session that loads: enough memory to sort a batch, a small sample for the stage's
-- statistics, and index look-ups for every join. The look-ups cost the same whatever the size of
-- the tables and whatever the planner believes about them; a hash join over all keys does not.
select set_config(name, value, false)
from (values
    ('work_mem', '64MB'),
    ('temp_buffers', '32MB'),
    ('default_statistics_target', '5'),
    ('jit', 'off'),
    ('enable_hashjoin', 'off'),
    ('enable_mergejoin', 'off')
) as settings (name, value)
