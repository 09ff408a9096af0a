-- The span of the request at which an order was made (W3C Trace Context §3.2), so that the order's trace links to it; null
-- where no request made it, or none that was traced. A request that sends a file makes orders long after it was answered.
alter table orders
    add column traceparent text,
    add constraint orders_traceparent check (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');
alter table imports
    add column traceparent text,
    add constraint imports_traceparent check (traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$');
