-- A server asks by its labels, over and over.
create index certificates_labels on certificates using gin (labels jsonb_path_ops);
