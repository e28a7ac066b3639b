package hashcollision.qa;

import hashcollision.common.database.Sql;
import hashcollision.common.http.ApiException;
import hashcollision.common.messaging.EventTypes;
import hashcollision.common.messaging.Outbox;
import hashcollision.common.token.Caller;
import java.sql.Connection;
import java.sql.SQLException;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;

/** Votes for posts. Each person has one for each post of somebody else, and may change it. */
final class Votes {
    /** What may be voted for; in lower case it is also the word in requests and events. */
    enum Kind {
        QUESTION, ANSWER;

        String word() {
            return name().toLowerCase();
        }
    }

    /** A vote that somebody wants to give; {@code value} is 1 or -1. */
    record Vote(Kind kind, long postId, int value) {}

    /** A vote that was given: the post's score with it, and the voter's vote before it, 0 for none. */
    record Cast(int score, int previous) {}

    /** A post as the voter finds it; {@code previous} is the voter's own vote so far. */
    record Post(Kind kind, long authorId, int score, int previous) {}

    private final Outbox outbox;

    Votes(Outbox outbox) {
        this.outbox = outbox;
    }

    /** Returns the post's score with this vote in place of any earlier one of the voter. */
    int cast(Caller voter, Vote vote) throws SQLException {
        return outbox.write(connection -> {
            Map<Long, Post> posts = lock(connection, voter, List.of(vote));
            check(voter, vote, posts.get(vote.postId()));
            return save(connection, voter, List.of(vote), posts).get(0).score();
        });
    }

    /** Gives several votes in the transaction of a connection, with as many statements as one takes. */
    List<Cast> cast(Connection connection, Caller voter, List<Vote> votes) throws SQLException {
        if (votes.isEmpty()) {
            return List.of();
        }
        Map<Long, Post> posts = lock(connection, voter, votes);
        checkAll(voter, votes, posts);
        return save(connection, voter, votes, posts);
    }

    /** Refuses the first vote that may not be given, and tells which it is. */
    static void checkAll(Caller voter, List<Vote> votes, Map<Long, Post> posts) {
        Set<Long> seen = new HashSet<>();
        for (int i = 0; i < votes.size(); i++) {
            Vote vote = votes.get(i);
            try {
                check(voter, vote, posts.get(vote.postId()));
                if (!seen.add(vote.postId())) {
                    throw ApiException.badRequest("voted_twice", "There is another vote for the same post before it.");
                }
            } catch (ApiException refused) {
                throw refused.at("votes[" + i + "]");
            }
        }
    }

    private static void check(Caller voter, Vote vote, Post post) {
        if (post == null || post.kind() != vote.kind()) {
            throw ApiException.notFound("There is no such " + vote.kind().word() + ".");
        }
        if (post.authorId() == voter.id()) {
            throw ApiException.forbidden("You cannot vote for your own post.");
        }
    }

    /**
     * The posts by id. Votes for one post wait for each other, so that each sees the one before; all take the posts in
     * the same order, so that none waits for one that waits for it.
     */
    private static Map<Long, Post> lock(Connection connection, Caller voter, List<Vote> votes) throws SQLException {
        Long[] ids = votes.stream().map(Vote::postId).distinct().toArray(Long[]::new);
        Map<Long, Post> posts = new HashMap<>();
        Sql.each(connection, """
                SELECT p.id, a.id IS NOT NULL, p.author_id, p.score FROM post p LEFT JOIN answer a ON a.id = p.id
                WHERE p.id = ANY (?) ORDER BY p.id FOR UPDATE OF p
                """, row -> posts.put(row.getLong(1),
                        new Post(row.getBoolean(2) ? Kind.ANSWER : Kind.QUESTION, row.getLong(3), row.getInt(4), 0)),
                (Object) ids);
        // Read after the locks are held: the statement above would see the votes of before it waited.
        Sql.each(connection, "SELECT post_id, value FROM vote WHERE user_id = ? AND post_id = ANY (?)",
                row -> {
                    int previous = row.getInt(2);
                    posts.computeIfPresent(row.getLong(1),
                            (id, post) -> new Post(post.kind(), post.authorId(), post.score(), previous));
                }, voter.id(), ids);
        return posts;
    }

    /** Writes those votes that change something, and one event that tells of all of them. */
    private List<Cast> save(Connection connection, Caller voter, List<Vote> votes, Map<Long, Post> posts)
            throws SQLException {
        List<Cast> cast = new ArrayList<>();
        List<EventTypes.VoteCast> changes = new ArrayList<>();
        for (Vote vote : votes) {
            Post post = posts.get(vote.postId());
            cast.add(new Cast(post.score() + vote.value() - post.previous(), post.previous()));
            if (vote.value() != post.previous()) {
                changes.add(new EventTypes.VoteCast(vote.kind().word(), vote.postId(), post.authorId(),
                        post.previous(), vote.value()));
            }
        }
        if (!changes.isEmpty()) {
            write(connection, voter, changes);
            outbox.add(connection, EventTypes.VOTES_CAST, List.of(new EventTypes.VotesCast(changes)));
        }
        return cast;
    }

    private static void write(Connection connection, Caller voter, List<EventTypes.VoteCast> changes)
            throws SQLException {
        Sql.update(connection, """
                WITH changed AS (
                         SELECT * FROM unnest(?::bigint[], ?::integer[], ?::integer[]) AS c (id, value, change)),
                     cast_votes AS (
                         INSERT INTO vote (post_id, user_id, value) SELECT id, ?, value FROM changed
                         ON CONFLICT (post_id, user_id) DO UPDATE SET value = excluded.value)
                UPDATE post p SET score = p.score + c.change FROM changed c WHERE p.id = c.id
                """,
                changes.stream().map(EventTypes.VoteCast::postId).toArray(Long[]::new),
                changes.stream().map(EventTypes.VoteCast::value).toArray(Integer[]::new),
                changes.stream().map(change -> change.value() - change.previous()).toArray(Integer[]::new),
                voter.id());
    }
}
