-- Who has fetched the challenge responses of an order, and what they got. Written in batches, off the responder's path.
create table response_fetches (
    fetch_id uuid primary key,
    tenant_id uuid not null references tenants,
    -- No foreign key: its check would lock the order's row, and a claim skips what is locked.
    order_id uuid not null,
    token text not null,
    fetched_at timestamptz not null,
    source text not null,
    method text not null,
    -- As the client named it.
    host text,
    user_agent text,
    status smallint not null,
    -- Our own look before the challenge was submitted.
    own boolean not null,
    constraint response_fetches_bounded check (
        length(token) <= 128 and length(source) <= 45 and length(host) <= 253 and length(user_agent) <= 200),
    constraint response_fetches_status check (status between 100 and 599)
);

create index response_fetches_of_order on response_fetches (order_id, fetch_id);
