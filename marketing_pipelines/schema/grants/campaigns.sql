grant usage on schema campaigns to marketing_reader;
grant select on
    campaigns.campaign_contacts,
    campaigns.campaigns,
    campaigns.sequence_enrolments,
    campaigns.sequences
to marketing_reader;
revoke all on all functions in schema campaigns from public;
