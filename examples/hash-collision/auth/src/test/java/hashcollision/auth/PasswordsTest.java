package hashcollision.auth;

import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNotEquals;
import static org.junit.jupiter.api.Assertions.assertTrue;

import org.junit.jupiter.api.Test;

class PasswordsTest {
    private final Passwords passwords = new Passwords(4);

    @Test
    void onlyTheSamePasswordMatches() {
        String hash = passwords.hash("correct horse");
        assertTrue(passwords.matches("correct horse", hash));
        assertFalse(passwords.matches("correct horse ", hash));
    }

    @Test
    void theSamePasswordHasAnotherHashEachTime() {
        assertNotEquals(passwords.hash("correct horse"), passwords.hash("correct horse"));
    }

    @Test
    void theLimitCountsBytesBecauseBcryptDoes() {
        assertFalse(Passwords.isTooLong("x".repeat(72)));
        assertTrue(Passwords.isTooLong("x".repeat(73)));
        assertTrue(Passwords.isTooLong("\u00e9".repeat(37)));
    }

    @Test
    void aPasswordThatIsTooLongMatchesNothing() {
        assertFalse(passwords.matches("x".repeat(150), passwords.hash("x".repeat(72))));
    }
}
