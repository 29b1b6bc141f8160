package interop;

import java.util.Set;
import java.util.concurrent.ConcurrentSkipListSet;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;

/**
 * Notes in what types requests are sent. Without SubscribeToShard, for which this SDK speaks JSON even
 * where it speaks CBOR otherwise.
 */
final class Wire implements ExecutionInterceptor {
    private final Set<String> types = new ConcurrentSkipListSet<>();

    @Override
    public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
        if (!"SubscribeToShard".equals(attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME))) {
            types.add(context.httpRequest().firstMatchingHeader("Content-Type").orElse("none"));
        }
    }

    Set<String> types() {
        return types;
    }
}
