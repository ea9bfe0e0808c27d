-- Which claim has which volume. An earlier release does not read this table.

create table volume_bindings (
    document jsonb not null,
    uid uuid not null generated always as ((document ->> 'uid')::uuid) stored,
    namespace text collate "C" not null
        generated always as (document #>> '{claim,namespace}') stored,
    name text collate "C" not null generated always as (document #>> '{claim,name}') stored,
    constraint volume_bindings_key primary key (uid)
);
create index volume_bindings_by_claim on volume_bindings (namespace, name);
