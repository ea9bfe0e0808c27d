-- What the objects of a source were when it was last healthy, where they are something else now: what a
-- release that fails goes back to. An earlier release does not read this table; the commit in each row
-- tells rows that it left behind from those that hold.

create table baselines (
    document jsonb not null,
    source text collate "C" not null generated always as (document ->> 'source') stored,
    kind text collate "C" not null generated always as (document #>> '{object,kind}') stored,
    namespace text collate "C" not null
        generated always as (document #>> '{object,key,namespace}') stored,
    name text collate "C" not null generated always as (document #>> '{object,key,name}') stored,
    constraint baselines_key primary key (source, kind, namespace, name),
    constraint baselines_source_known foreign key (source) references sources (name)
);
