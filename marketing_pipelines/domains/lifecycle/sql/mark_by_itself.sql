-- Tells the trigger on enrolments that the transaction marks its days itself.
select set_config('lifecycle.marks_days', 'by itself', true)
