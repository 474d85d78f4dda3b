-- The connection to the mail server of a domain that has one of its own; null: its mails go over the
-- server of MARKETING_SMTP_URL. A domain of null is the organization's default.
create or replace function delivery.own_server(organization bigint, domain bigint) returns bigint
language sql stable parallel safe as $$
    select server.id
    from delivery.sending_domains as own
    join integrations.connections as server
        on server.organization_id = own.organization_id and server.provider = 'smtp'
        and server.external_id = own.domain
    where own.organization_id = own_server.organization
        and own.id = coalesce(own_server.domain, delivery.default_domain(own_server.organization))
$$;
