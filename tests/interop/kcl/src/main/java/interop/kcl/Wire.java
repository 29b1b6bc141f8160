package interop.kcl;

import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import software.amazon.awssdk.core.interceptor.Context;
import software.amazon.awssdk.core.interceptor.ExecutionAttributes;
import software.amazon.awssdk.core.interceptor.ExecutionInterceptor;
import software.amazon.awssdk.core.interceptor.SdkExecutionAttribute;
import software.amazon.awssdk.core.metrics.CoreMetric;
import software.amazon.awssdk.http.Http2Metric;
import software.amazon.awssdk.metrics.MetricCollection;
import software.amazon.awssdk.metrics.MetricPublisher;

/** Notes once for each operation what type its requests have, and what version of HTTP its calls went over. */
final class Wire implements ExecutionInterceptor, MetricPublisher {
    private final Journal journal;
    private final Set<String> noted = ConcurrentHashMap.newKeySet();

    Wire(Journal journal) {
        this.journal = journal;
    }

    @Override
    public void beforeTransmission(Context.BeforeTransmission context, ExecutionAttributes attributes) {
        String type = context.httpRequest().firstMatchingHeader("Content-Type").orElse("none");
        note("request", attributes.getAttribute(SdkExecutionAttribute.SERVICE_NAME),
                attributes.getAttribute(SdkExecutionAttribute.OPERATION_NAME), "type", type);
    }

    /** Only a stream of HTTP/2 has a window. Calls that met no answer have used no connection. */
    @Override
    public void publish(MetricCollection call) {
        if (call.metricValues(CoreMetric.API_CALL_SUCCESSFUL).contains(true)) {
            note("answer", call.metricValues(CoreMetric.SERVICE_ID).get(0),
                    call.metricValues(CoreMetric.OPERATION_NAME).get(0), "http", hasWindow(call) ? "2" : "1.1");
        }
    }

    @Override
    public void close() {}

    private static boolean hasWindow(MetricCollection metrics) {
        return !metrics.metricValues(Http2Metric.LOCAL_STREAM_WINDOW_SIZE_IN_BYTES).isEmpty()
                || metrics.children().stream().anyMatch(Wire::hasWindow);
    }

    private void note(String name, String service, String operation, String what, String value) {
        if (noted.add(String.join(" ", name, service, operation, value))) {
            journal.note(name, "service", service, "operation", operation, what, value);
        }
    }
}
