-- What questions and answers have in common, so that a vote is one thing for both.
CREATE TABLE post (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    author_id    bigint NOT NULL,
    author_name  text NOT NULL,
    body         text NOT NULL,
    score        integer NOT NULL DEFAULT 0,
    created      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE question (
    id                  bigint PRIMARY KEY REFERENCES post,
    title               text NOT NULL,
    tags                text[] NOT NULL,
    answers             integer NOT NULL DEFAULT 0,
    accepted_answer_id  bigint
);
CREATE INDEX question_tags ON question USING gin (tags);

CREATE TABLE answer (
    id           bigint PRIMARY KEY REFERENCES post,
    question_id  bigint NOT NULL REFERENCES question
);
CREATE INDEX answer_question ON answer (question_id);

CREATE TABLE vote (
    post_id  bigint NOT NULL REFERENCES post,
    user_id  bigint NOT NULL,
    value    smallint NOT NULL CHECK (value IN (1, -1)),
    PRIMARY KEY (post_id, user_id)
);
