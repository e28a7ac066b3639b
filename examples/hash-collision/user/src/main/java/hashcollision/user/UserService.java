package hashcollision.user;

import hashcollision.common.AtStart;
import hashcollision.common.Service;
import hashcollision.common.Settings;

/** Users and their reputation, both learned from the events of other services. */
@AtStart
public final class UserService {
    private UserService() {}

    public static void main(String[] args) {
        Service service = new Service("user", Settings.fromContainer());
        service.broker().consume(UserEvents.QUEUE, UserEvents::handle);
        service.start(new UserRoutes(new Users(service.database()))::register);
    }
}
