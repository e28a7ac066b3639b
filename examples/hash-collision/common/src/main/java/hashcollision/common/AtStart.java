package hashcollision.common;

import java.lang.annotation.ElementType;
import java.lang.annotation.Retention;
import java.lang.annotation.RetentionPolicy;
import java.lang.annotation.Target;

/**
 * A method, or all methods of a class, that run only when the process starts or connects: new code of them needs a
 * restart. tools/hotswap.py reads it from the class files.
 */
@Retention(RetentionPolicy.CLASS)
@Target({ElementType.METHOD, ElementType.TYPE})
public @interface AtStart {}
