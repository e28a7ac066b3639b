-- One database and one login for each service. May run any number of times.
-- psql reads the passwords itself, so they are in no argument list.
-- Databases are copied as files: through the log the first start would write them twice.
\set ON_ERROR_STOP on
\set QUIET on
\set auth `cat /run/secrets/auth_db_password`
\set user `cat /run/secrets/user_db_password`
\set qa   `cat /run/secrets/qa_db_password`

CREATE TEMPORARY TABLE login (name text, password text);
INSERT INTO login VALUES ('auth', :'auth'), ('user', :'user'), ('qa', :'qa');

SELECT format('CREATE ROLE %I LOGIN', name) FROM login WHERE name NOT IN (SELECT rolname FROM pg_roles) \gexec
SELECT format('ALTER ROLE %I PASSWORD %L', name, password) FROM login \gexec
SELECT format('CREATE DATABASE %I OWNER %I STRATEGY file_copy', name, name) FROM login WHERE name NOT IN (SELECT datname FROM pg_database) \gexec
SELECT format('REVOKE ALL ON DATABASE %I FROM PUBLIC', name) FROM login \gexec
