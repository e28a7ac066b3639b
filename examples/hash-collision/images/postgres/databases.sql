-- One database and one login for each service. Without a password nobody can log in: the entrypoint sets it.
-- Read once, when the cluster is made, by a server without clients, for which each line is one statement.
-- Databases are copied as files: through the log they would be written twice.
CREATE ROLE auth LOGIN;
CREATE ROLE "user" LOGIN;
CREATE ROLE qa LOGIN;
CREATE DATABASE auth OWNER auth STRATEGY file_copy;
CREATE DATABASE "user" OWNER "user" STRATEGY file_copy;
CREATE DATABASE qa OWNER qa STRATEGY file_copy;
REVOKE ALL ON DATABASE auth, "user", qa FROM PUBLIC;
