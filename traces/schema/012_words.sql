-- The words of turns: in PostgreSQL a table under an inverted index (postgres/words.py), here a file beside
-- the store (words.py), so that nothing of this schema changes.
select 1;
