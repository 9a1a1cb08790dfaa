-- Whose turns each sum is of; those of the time before were all of one. A conversation of one id that people
-- of two workspaces went on with is two.
alter table hourly add column if not exists workspace text default 'default';
alter table hourly_models add column if not exists workspace text default 'default';
alter table if exists hourly_buckets add column if not exists workspace text default 'default';
alter table hourly_stages add column if not exists workspace text default 'default';
alter table hourly_caches add column if not exists workspace text default 'default';
alter table hourly_talks add column if not exists workspace text default 'default';
alter table hourly_left add column if not exists workspace text default 'default';
alter table hourly_topics add column if not exists workspace text default 'default';
alter table daily add column if not exists workspace text default 'default';
alter table if exists daily_buckets add column if not exists workspace text default 'default';
alter table daily_sides add column if not exists workspace text default 'default';
alter table daily_users add column if not exists workspace text default 'default';
alter table daily_topics add column if not exists workspace text default 'default';
alter table conversations add column if not exists workspace text default 'default';
