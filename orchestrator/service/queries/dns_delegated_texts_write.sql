-- Puts $2 into the slot that holds it already, else into a free one, else into the one written longest ago. The label's row
-- is locked, so that two at once do not choose the same.
with label as (
    select subdomain from dns_delegations where subdomain = $1 for update
),
chosen as (
    select label.subdomain, slots.slot
    from label
    cross join (values (0::smallint), (1::smallint)) as slots (slot)
    left join dns_delegated_texts as held
        on held.subdomain = label.subdomain and held.slot = slots.slot
    order by (held.value = $2) is true desc, held.updated_at nulls first, slots.slot
    limit 1
)
insert into dns_delegated_texts (subdomain, slot, value, updated_at)
select subdomain, slot, $2, $3 from chosen
on conflict (subdomain, slot) do update set value = excluded.value, updated_at = excluded.updated_at
