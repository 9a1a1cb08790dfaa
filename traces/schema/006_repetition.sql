-- Which of several answers to its case an eval's score is of; it rode in the tags before.
alter table scores add column repetition bigint;
update scores set repetition = cast(substr(tags, 12) as bigint), tags = null where tags like 'repetition:%';
