-- The sorted turns that found no document, with their questions: few enough to be read whole.
create table missing (
    turn_id text not null,
    conversation_id text not null,
    started_at timestamptz not null,
    door text not null,
    words bigint not null,
    question text not null
);
