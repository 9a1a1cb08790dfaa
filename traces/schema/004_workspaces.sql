-- Whose turn it was, and which knowledge base each passage is from.
alter table turns add column workspace text;
alter table passages add column kb text;
