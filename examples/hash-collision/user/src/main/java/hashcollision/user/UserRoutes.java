package hashcollision.user;

import hashcollision.common.AtStart;
import hashcollision.common.http.ApiException;
import hashcollision.common.http.Http;
import hashcollision.common.http.Requests;
import io.javalin.config.RoutesConfig;
import io.javalin.http.Context;
import java.sql.SQLException;
import java.util.List;

/** Users over HTTP; they are made by events only. */
final class UserRoutes {
    record UserList(List<Users.User> users) {}

    private final Users users;

    UserRoutes(Users users) {
        this.users = users;
    }

    @AtStart
    void register(RoutesConfig routes) {
        routes.get("/api/user/users", context -> Http.json(context, 200, new UserList(users.list())));
        routes.get("/api/user/users/{id}", this::get);
    }

    private void get(Context context) throws SQLException {
        Http.json(context, 200, users.find(Requests.id(context))
                .orElseThrow(() -> ApiException.notFound("There is no such user.")));
    }
}
