CREATE TABLE account (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name           text NOT NULL,
    password_hash  text NOT NULL,
    created        timestamptz NOT NULL DEFAULT now()
);
-- "Ada" and "ada" would be taken for the same person.
CREATE UNIQUE INDEX account_name ON account (lower(name));
