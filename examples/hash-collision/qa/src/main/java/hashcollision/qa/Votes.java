package hashcollision.qa;

import hashcollision.common.database.Sql;
import hashcollision.common.http.ApiException;
import hashcollision.common.messaging.EventTypes;
import hashcollision.common.messaging.Outbox;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.SQLException;

/** Votes for posts. Each person has one for each post of somebody else, and may change it. */
final class Votes {
    /** What may be voted for; the name is also that of the table and the word in events. */
    enum Kind {
        QUESTION, ANSWER;

        String word() {
            return name().toLowerCase();
        }
    }

    private record Post(long authorId, int score, int previous) {}

    private final Outbox outbox;

    Votes(Outbox outbox) {
        this.outbox = outbox;
    }

    /** Returns the post's score with this vote, 1 or -1, in place of any earlier one of the voter. */
    int cast(Caller voter, Kind kind, long postId, int value) throws SQLException {
        return outbox.write(connection -> {
            Post post = lock(connection, voter, kind, postId);
            if (post.authorId() == voter.id()) {
                throw ApiException.forbidden("You cannot vote for your own post.");
            }
            if (post.previous() == value) {
                return post.score();
            }
            save(connection, voter, postId, value);
            outbox.add(connection, EventTypes.VOTE_CAST,
                    new EventTypes.VoteCast(kind.word(), postId, post.authorId(), post.previous(), value));
            return addToScore(connection, postId, value - post.previous());
        });
    }

    /** Votes for one post wait for each other, so that each sees the one before. */
    private static Post lock(Connection connection, Caller voter, Kind kind, long postId) throws SQLException {
        long authorId = Sql.first(connection,
                "SELECT p.author_id FROM post p JOIN " + kind.word() + " k ON k.id = p.id WHERE p.id = ? FOR UPDATE OF p",
                row -> row.getLong(1), postId)
                .orElseThrow(() -> ApiException.notFound("There is no such " + kind.word() + "."));
        // Read after the lock is held: the lock's own statement would see the votes of before it waited.
        return Sql.first(connection, """
                SELECT p.score, coalesce(v.value, 0)
                FROM post p LEFT JOIN vote v ON v.post_id = p.id AND v.user_id = ? WHERE p.id = ?
                """, row -> new Post(authorId, row.getInt(1), row.getInt(2)), voter.id(), postId).orElseThrow();
    }

    private static void save(Connection connection, Caller voter, long postId, int value) throws SQLException {
        Sql.update(connection, """
                INSERT INTO vote (post_id, user_id, value) VALUES (?, ?, ?)
                ON CONFLICT (post_id, user_id) DO UPDATE SET value = excluded.value
                """, postId, voter.id(), value);
    }

    private static int addToScore(Connection connection, long postId, int change) throws SQLException {
        return Sql.first(connection, "UPDATE post SET score = score + ? WHERE id = ? RETURNING score",
                row -> row.getInt(1), change, postId).orElseThrow();
    }
}
