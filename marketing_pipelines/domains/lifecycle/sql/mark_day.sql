-- Marks the tick's day once for all contacts that end in this pass; the setting keeps the trigger
-- from marking it for each of them.
select lifecycle.mark_days(array[cast(:tick as timestamptz)]),
       set_config('lifecycle.marks_days', 'by itself', true)
