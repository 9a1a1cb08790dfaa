-- A histogram is one row: its buckets in order, and how many values each holds. It was a row a bucket, a hundred
-- times as many to read. The buckets are logarithmic, those of `near` twentieths: see traces/histogram.py.
create table if not exists hourly_histograms (
    metric text not null,
    hour timestamptz not null,
    door text not null,
    buckets integer[] not null,
    counts bigint[] not null,
    workspace text
);
create table if not exists hourly_buckets (
    metric text, hour timestamptz, door text, bucket integer, n bigint, workspace text
);
insert into hourly_histograms
select metric, hour, door, array_agg(bucket order by bucket), array_agg(n order by bucket), workspace
from hourly_buckets group by metric, hour, door, workspace order by hour, metric, door;
drop table hourly_buckets cascade;

-- The same of whole days (UTC) that are over.
create table if not exists daily_histograms (
    metric text not null,
    day timestamptz not null,
    door text not null,
    buckets integer[] not null,
    counts bigint[] not null,
    workspace text
);
create table if not exists daily_buckets (
    metric text, day timestamptz, door text, bucket integer, n bigint, workspace text
);
insert into daily_histograms
select metric, day, door, array_agg(bucket order by bucket), array_agg(n order by bucket), workspace
from daily_buckets group by metric, day, door, workspace order by day, metric, door;
drop table daily_buckets cascade;
