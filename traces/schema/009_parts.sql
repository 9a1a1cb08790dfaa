-- Histograms by model, prompt, kb and outcome: no question was ever asked of them.
drop table if exists daily_parts cascade;
