-- Gives all mails of threads that belong together the number of the earliest.
with merged as (
    select joined.thread_id,
           first_value(joined.thread_id) over (
               partition by joined.component
               order by coalesce(mail.sent_at, mail.received_at), joined.thread_id
           ) as earliest
    from jsonb_to_recordset(:threads) as joined (component bigint, thread_id bigint)
    left join inbox.email_messages as mail on mail.id = joined.thread_id
)
update inbox.email_messages as mail
set thread_id = merged.earliest
from merged
where mail.thread_id = merged.thread_id and merged.earliest <> merged.thread_id
