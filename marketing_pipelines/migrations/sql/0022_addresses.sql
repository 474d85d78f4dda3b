-- Indexes need the function before the files of `schema/` are applied.
create or replace function delivery.address_of(channel text, given text) returns text
language sql immutable parallel safe as $$
    select case channel
        when 'email' then nullif(lower(btrim(given, E' \t\r\n')), '')
        when 'sms' then substring(
            regexp_replace(regexp_replace(given, '[[:space:]./()-]', '', 'g'), '^00', '+')
            from '^\+[0-9]{7,15}$'
        )
        when 'push' then nullif(btrim(given, E' \t\r\n'), '')
    end
$$;

ALTER TABLE crm.users ADD COLUMN notify_by_mail BOOLEAN DEFAULT true NOT NULL;

CREATE INDEX ix_contacts_email_address ON crm.contacts (organization_id, delivery.address_of('email', email));
CREATE INDEX ix_contacts_sms_address ON crm.contacts (organization_id, delivery.address_of('sms', phone));

ALTER TABLE delivery.messages
    ALTER COLUMN contact_id DROP NOT NULL,
    ADD COLUMN user_id BIGINT,
    ADD COLUMN address TEXT,
    ADD COLUMN kind TEXT DEFAULT 'marketing' NOT NULL,
    ADD COLUMN priority INTEGER DEFAULT 0 NOT NULL,
    ADD COLUMN expires_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN claimed_at TIMESTAMP WITH TIME ZONE,
    ADD COLUMN bounce TEXT,
    ADD CONSTRAINT uq_messages_step_id_rotation_address UNIQUE (step_id, rotation, address),
    ADD CONSTRAINT ck_messages_kind CHECK (kind in ('marketing', 'transactional')),
    ADD CONSTRAINT ck_messages_recipient CHECK (num_nonnulls(contact_id, user_id) = 1),
    ADD CONSTRAINT ck_messages_kind_to_user CHECK (user_id is null or kind = 'transactional'),
    ADD CONSTRAINT ck_messages_priority CHECK (priority between -100 and 100),
    ADD CONSTRAINT ck_messages_bounce CHECK (bounce in ('hard', 'soft'));
CREATE INDEX ix_messages_contact ON delivery.messages (contact_id, channel, claimed_at) WHERE claimed_at is not null;
CREATE INDEX ix_messages_address ON delivery.messages (organization_id, address, channel, sent_at) WHERE sent_at is not null;

ALTER TABLE delivery.suppressions
    ALTER COLUMN contact_id DROP NOT NULL,
    ADD COLUMN address TEXT,
    ADD COLUMN address_hash TEXT,
    ADD COLUMN until TIMESTAMP WITH TIME ZONE,
    ADD COLUMN source TEXT,
    ADD CONSTRAINT uq_suppressions_organization_id_address_channel_reason UNIQUE (organization_id, address, channel, reason),
    ADD CONSTRAINT uq_suppressions_organization_id_address_hash_channel UNIQUE (organization_id, address_hash, channel),
    DROP CONSTRAINT ck_suppressions_reason,
    ADD CONSTRAINT ck_suppressions_reason CHECK (reason in ('unsubscribed', 'hard_bounce', 'soft_bounce', 'complaint', 'do_not_contact', 'erased')),
    ADD CONSTRAINT ck_suppressions_holds_for CHECK (num_nonnulls(contact_id, address, address_hash) = 1),
    ADD CONSTRAINT ck_suppressions_erased CHECK ((address_hash is not null) = (reason = 'erased'));

-- A contact's suppression takes its present addresses with it; that of a bounce is the address's.
INSERT INTO delivery.suppressions (organization_id, address, channel, reason, since, source)
SELECT suppression.organization_id, given.address, suppression.channel, suppression.reason,
       min(suppression.since),
       CASE WHEN suppression.reason <> 'hard_bounce' THEN 'contact' END
FROM delivery.suppressions AS suppression
JOIN crm.contacts AS contact
    ON contact.id = suppression.contact_id
    AND contact.organization_id = suppression.organization_id
CROSS JOIN LATERAL (
    VALUES ('email', delivery.address_of('email', contact.email)),
           ('sms', delivery.address_of('sms', contact.phone)),
           ('push', delivery.address_of('push', contact.attributes ->> 'push_token'))
) AS given (channel, address)
WHERE given.address IS NOT NULL AND suppression.channel IN (given.channel, 'all')
GROUP BY 1, 2, 3, 4;
DELETE FROM delivery.suppressions AS suppression
USING crm.contacts AS contact
WHERE suppression.reason = 'hard_bounce'
    AND contact.id = suppression.contact_id
    AND EXISTS (
        SELECT FROM delivery.suppressions AS known
        WHERE known.organization_id = suppression.organization_id
            AND known.reason = 'hard_bounce'
            AND known.channel = suppression.channel
            AND known.address IN (
                delivery.address_of('email', contact.email),
                delivery.address_of('sms', contact.phone),
                delivery.address_of('push', contact.attributes ->> 'push_token')
            )
    );
