-- A tenant's share of what is scarce, beside the others'.
alter table tenants add column weight integer not null default 1 constraint tenants_weight check (weight between 1 and 1000);

-- Before this instant the gate lets nothing through that the CA counts, as it last said. Told for whoever looks on; the
-- gate itself counts anew each time.
alter table accounts add column gate_closed_until timestamptz;

-- How far each lane has come: the highest tag that was let through, but no further than whoever still waits. Provers
-- come back in any order, so the highest tag alone would be ahead of most of the line, and a newcomer behind it.
alter table accounts add column fair_clock bigint[] not null default '{0,0,0,0}'
    constraint accounts_fair_clock check (cardinality(fair_clock) = 4);

-- Where the next order of a tenant lines up. What comes back from a wait lines up apart from what is new, so that
-- it is neither behind its tenant's whole backlog nor before everybody else's.
create table lines (
    account_id uuid not null references accounts,
    lane smallint not null,
    tenant_id uuid not null references tenants,
    comes_back boolean not null,
    next_tag bigint not null,
    primary key (account_id, lane, tenant_id, comes_back)
);

alter table orders
    -- Its place in the line of its lane; the lowest goes first.
    add column fair_tag bigint not null default 0,
    -- In line: may be claimed now. Whoever waits for an instant, or is in a worker's hands, is not.
    add column in_line boolean not null default false,
    -- The same set was issued so recently that before this instant the CA takes an order for a renewal.
    add column set_exempt_until timestamptz,
    -- `replaces` exempts from every limit in this span [from, until) (RFC 9773, as Let's Encrypt applies it).
    add column ari_exempt_from timestamptz,
    add column ari_exempt_until timestamptz,
    -- Its latest new-order was counted against the account at the gate.
    add column charged boolean not null default false,
    add column exempt boolean not null generated always as (
        set_exempt_until is not null or ari_exempt_until is not null) stored,
    add constraint orders_ari_exempt check ((ari_exempt_from is null) = (ari_exempt_until is null));

drop index orders_due_proven;
drop index orders_due_unproven;
create index orders_in_line on orders (queue, lane, fair_tag) where in_line;
create index orders_in_line_exempt on orders (queue, lane, fair_tag) where in_line and exempt;
-- Whoever waits for the gate, in line or in a prover's hands: the first of them is how far the lane has come.
create index orders_before_the_gate on orders (lane, fair_tag)
    where queue < 2 and (in_line or lease_expires_at is not null);
-- Those that wait for their instant, and those whose worker is gone when it comes.
create index orders_out_of_line on orders (due_at) where queue < 2 and not in_line and due_at is not null;
