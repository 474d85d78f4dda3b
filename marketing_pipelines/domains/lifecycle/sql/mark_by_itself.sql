-- Switches off the trigger that marks days: this transaction marks them itself.
select set_config('lifecycle.marks_days', 'by itself', true)
