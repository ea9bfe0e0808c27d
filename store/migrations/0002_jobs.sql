-- Jobs: the runs of declared Jobs and CronJobs, and what the schedules have come to. An earlier
-- release does not read these tables, and goes on beside them.

create table jobs (
    document jsonb not null,
    uid uuid not null generated always as ((document ->> 'uid')::uuid) stored,
    owner uuid not null generated always as ((document ->> 'owner')::uuid) stored,
    namespace text collate "C" not null generated always as (document ->> 'namespace') stored,
    name text collate "C" not null generated always as (document ->> 'name') stored,
    constraint jobs_key primary key (uid)
) with (fillfactor = 70);

create table schedules (
    document jsonb not null,
    cron_job uuid not null generated always as ((document ->> 'cron_job')::uuid) stored,
    constraint schedules_key primary key (cron_job)
) with (fillfactor = 70);
