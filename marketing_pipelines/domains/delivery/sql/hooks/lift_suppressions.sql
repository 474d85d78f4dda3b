-- Lifts `unsubscribed`, and nothing else, for recipients who came back.
delete from delivery.suppressions as suppression
using delivery.message_events as event, delivery.messages as message
where event.id = any(:ids) and event.type = 'resubscribed' and not event.reading ? 'has_category'
    and message.id = event.message_id
    and suppression.contact_id = message.contact_id
    and suppression.channel = message.channel
    and suppression.reason = 'unsubscribed'
