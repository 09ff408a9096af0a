-- When each certificate is renewed: one row for the latest one issued of each. The instant is drawn once and kept, and
-- every wait is an instant here, so that a restart neither draws nor orders again.
create table renewals (
    certificate_id uuid primary key references certificates,
    account_id uuid not null references accounts,
    -- The order that brought the certificate which is to be renewed.
    order_id uuid not null references issued_certificates,
    -- Its name in renewal information and in `replaces` (RFC 9773 §4.1). Null: it has none.
    renewal_id text,
    not_after timestamptz not null,
    renew_at timestamptz not null,
    -- The CA has moved the window into the past: revoked, or part of an incident.
    at_once boolean not null default false,
    -- As the CA last told it.
    window_start timestamptz,
    window_end timestamptz,
    explanation_url text,
    -- When the CA is asked for the window next; null: not any more.
    poll_at timestamptz,
    -- When it was last asked, whatever came of it.
    polled_at timestamptz,
    poll_failures integer not null default 0,
    -- When something is done next: at first `renew_at`, then looks at what came of it.
    look_at timestamptz not null,
    -- An order was queued for it.
    queued_at timestamptz,
    constraint renewals_window check (
        (window_start is null) = (window_end is null) and (window_start is null or window_start < window_end)),
    constraint renewals_polled check (poll_failures >= 0 and (poll_at is null or renewal_id is not null))
) with (fillfactor = 80);
create index renewals_to_poll on renewals (account_id, poll_at) where poll_at is not null;
create index renewals_to_look_at on renewals (account_id, look_at);
-- What should have been renewed by now, and has not been.
create index renewals_by_instant on renewals (account_id, renew_at);
create index renewals_by_expiry on renewals (account_id, not_after);

-- Whether a plan was made for it. Those issued by an older release are planned by the first passes of the new one.
alter table issued_certificates add column renewal_planned boolean not null default false;
create index issued_certificates_unplanned on issued_certificates (account_id, issued_at) where not renewal_planned;
