-- The first schema. One table per durable thing.
--
-- A row of the world is one jsonb document, written by `src/document`. The columns beside it are
-- generated from it, so they cannot disagree with it: they are there for keys, for constraints and
-- for people who look with SQL. Moments inside documents are microseconds since 1970.
-- History (timeline, events) is flat, so it has ordinary columns.

create table cluster (
    one boolean not null default true,
    id uuid not null,
    constraint cluster_key primary key (one),
    constraint cluster_one_row check (one)
);

create table leadership (
    one boolean not null default true,
    -- The number of the leadership; every commit names its own.
    epoch bigint not null,
    holder text not null,
    -- The last committed turn.
    turn bigint not null,
    since timestamptz not null,
    constraint leadership_key primary key (one),
    constraint leadership_one_row check (one),
    constraint leadership_counts check (epoch >= 0 and turn >= 0)
);

create table sources (
    document jsonb not null,
    name text collate "C" not null generated always as (document ->> 'name') stored,
    constraint sources_key primary key (name)
);

create table objects (
    document jsonb not null,
    kind text collate "C" not null
        generated always as (document #>> '{declared,spec,kind}') stored,
    namespace text collate "C" not null
        generated always as (document #>> '{declared,key,namespace}') stored,
    name text collate "C" not null
        generated always as (document #>> '{declared,key,name}') stored,
    uid uuid not null generated always as ((document ->> 'uid')::uuid) stored,
    constraint objects_key primary key (kind, namespace, name),
    constraint objects_uid_unique unique (uid)
);

create table rollouts (
    document jsonb not null,
    deployment uuid not null generated always as ((document ->> 'deployment')::uuid) stored,
    constraint rollouts_key primary key (deployment)
) with (fillfactor = 70);

create table replica_sets (
    document jsonb not null,
    -- Big, shared by every pod of the replica set, and never rewritten while only a count changes.
    template jsonb not null,
    uid uuid not null generated always as ((document ->> 'uid')::uuid) stored,
    namespace text collate "C" not null generated always as (document ->> 'namespace') stored,
    name text collate "C" not null generated always as (document ->> 'name') stored,
    constraint replica_sets_key primary key (uid)
);

create table pods (
    document jsonb not null,
    uid uuid not null generated always as ((document ->> 'uid')::uuid) stored,
    namespace text collate "C" not null generated always as (document ->> 'namespace') stored,
    name text collate "C" not null generated always as (document ->> 'name') stored,
    constraint pods_key primary key (uid),
    -- A pod's name is what people and `kubectl` call it by.
    constraint pods_name_unique unique (namespace, name)
) with (fillfactor = 70);

create table nodes (
    document jsonb not null,
    name text collate "C" not null generated always as (document ->> 'name') stored,
    constraint nodes_key primary key (name)
) with (fillfactor = 70);

create table releases (
    document jsonb not null,
    id bigint not null generated always as ((document ->> 'id')::bigint) stored,
    source text collate "C" not null generated always as (document ->> 'source') stored,
    sha text collate "C" not null generated always as (document #>> '{commit,sha}') stored,
    verdict text collate "C" not null generated always as (document ->> 'verdict') stored,
    started_at timestamptz not null generated always as
        (to_timestamp((document ->> 'started_at')::double precision / 1000000)) stored,
    constraint releases_key primary key (id),
    constraint releases_source_known foreign key (source) references sources (name)
);
create index releases_by_source on releases (source, id);
-- What a load reads: few rows, however long the history is.
create index releases_open on releases (id) where verdict in ('pending', 'held', 'rolling');
create index releases_healthy on releases (source, id) where verdict = 'healthy';

create table quarantine (
    source text collate "C" not null,
    sha text collate "C" not null,
    constraint quarantine_key primary key (source, sha),
    constraint quarantine_source_known foreign key (source) references sources (name)
);

create table revisions (
    document jsonb not null,
    source text collate "C" not null generated always as (document ->> 'source') stored,
    sha text collate "C" not null generated always as (document #>> '{commit,sha}') stored,
    validated_at timestamptz not null generated always as
        (to_timestamp((document #>> '{hops,validated_at}')::double precision / 1000000)) stored,
    constraint revisions_key primary key (source, sha)
);

create table timeline (
    id bigint generated always as identity,
    source text collate "C" not null,
    sha text collate "C" not null,
    at timestamptz not null,
    step text collate "C" not null,
    subject text not null,
    message text not null,
    constraint timeline_key primary key (id)
);
create index timeline_by_commit on timeline (source, sha, at, id);
create index timeline_by_time on timeline (at);

create table events (
    id bigint generated always as identity,
    at timestamptz not null,
    event_type text collate "C" not null,
    kind text collate "C" not null,
    -- Empty for what has no namespace.
    namespace text collate "C" not null,
    name text collate "C" not null,
    reason text collate "C" not null,
    message text not null,
    constraint events_key primary key (id)
);
create index events_by_namespace on events (namespace, id);
create index events_by_time on events (at);

create table join_tokens (
    name text collate "C" not null,
    -- SHA-256 of the token; the token itself is shown once and stored nowhere.
    hash bytea not null,
    created_at timestamptz not null,
    expires_at timestamptz,
    constraint join_tokens_key primary key (name),
    constraint join_tokens_hash_unique unique (hash),
    constraint join_tokens_hash_length check (octet_length(hash) = 32)
);

insert into cluster (id) values (gen_random_uuid());
insert into leadership (epoch, holder, turn, since) values (0, '', 0, now());
