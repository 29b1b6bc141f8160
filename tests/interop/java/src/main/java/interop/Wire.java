package interop;

import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;

/** Notes in what type requests are sent. */
final class Wire implements ExecutionInterceptor {
    private final Set<String> types = new ConcurrentSkipListSet<>();

    @Override
    public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
        types.add(context.httpRequest().firstMatchingHeader("Content-Type").orElse("none"));
    }

    Set<String> types() {
        return types;
    }
}
