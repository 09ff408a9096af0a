-- What a key of kind agent may see of its tenant's certificates: those with all of these labels. Null: all of them.
alter table api_keys add column selector jsonb,
    add constraint api_keys_selector check (selector is null or jsonb_typeof(selector) = 'object'),
    -- What else a key may open knows nothing of labels.
    add constraint api_keys_selector_bounds check (
        selector is null or scopes <@ array['bundles:read', 'deployments:manage']);
