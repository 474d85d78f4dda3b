-- Has the tick's day counted again, once for everybody who ends at it; the trigger is told so.
select lifecycle.mark_days(array[cast(:tick as timestamptz)]),
       set_config('lifecycle.marks_days', 'by itself', true)
