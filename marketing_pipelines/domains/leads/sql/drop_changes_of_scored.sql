-- Takes contacts out of the changes that were scored as of a later instant: by themselves, or with all of
-- the organization. A pass over all leaves those too that were scored by themselves at its instant.
delete from changed_scores as change
using leads.scorings as scoring
where scoring.organization_id = :organization_id and scoring.score = :score
    and (
        scoring.contact_id = change.contact_id
            and (scoring.at > :instant or :is_of_all and scoring.at = :instant)
        or scoring.contact_id is null and scoring.at > :instant
    )
