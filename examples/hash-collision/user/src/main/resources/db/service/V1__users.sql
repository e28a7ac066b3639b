CREATE TABLE registered_user (
    id    bigint PRIMARY KEY,
    name  text NOT NULL
);

-- No reference to registered_user: the news of a vote may overtake the news of a registration.
CREATE TABLE reputation (
    user_id  bigint PRIMARY KEY,
    points   integer NOT NULL
);
