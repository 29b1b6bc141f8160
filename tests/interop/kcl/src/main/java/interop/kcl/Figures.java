package interop.kcl;

import static interop.kcl.Checks.check;

import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import software.amazon.awssdk.services.cloudwatch.CloudWatchAsyncClient;
import software.amazon.awssdk.services.cloudwatch.model.Datapoint;
import software.amazon.awssdk.services.cloudwatch.model.Metric;
import software.amazon.awssdk.services.cloudwatch.model.StandardUnit;
import software.amazon.awssdk.services.cloudwatch.model.Statistic;

/** What the KCL told CloudWatch, in the namespace that has the application's name. */
final class Figures {
    private static final Set<String> NAMES = Set.of("RecordsProcessed", "DataBytesProcessed", "MillisBehindLatest",
            "Time", "Success", "RenewLease.Time", "CurrentLeases", "LostLeases", "NumWorkers", "TotalLeases");

    private final CloudWatchAsyncClient cloudWatch;
    private final String application;
    private final Instant since;

    Figures(CloudWatchAsyncClient cloudWatch, String application, Instant since) {
        this.cloudWatch = cloudWatch;
        this.application = application;
        this.since = since;
    }

    String metrics() {
        List<Metric> metrics = list();
        Set<String> names = metrics.stream().map(Metric::metricName).collect(Collectors.toCollection(TreeSet::new));
        Set<String> missing = new TreeSet<>(NAMES);
        missing.removeAll(names);
        check(missing.isEmpty(), "metrics are missing", missing + " of " + names);
        Set<String> operations = metrics.stream().flatMap(it -> it.dimensions().stream())
                .filter(it -> it.name().equals("Operation")).map(it -> it.value()).collect(Collectors.toCollection(TreeSet::new));
        return "metrics have come: %d, %d names, of the operations %s".formatted(metrics.size(), names.size(), operations);
    }

    private List<Metric> list() {
        List<Metric> metrics = new ArrayList<>();
        cloudWatch.listMetricsPaginator(it -> it.namespace(application)).metrics().subscribe(metrics::add).join();
        return metrics;
    }

    /**
     * The records that were counted are those that the workers processed, but for what the killed worker
     * had not sent yet: the KCL sends every ten seconds. Who resumes a shard reads from its checkpoint on, and
     * the KCL counts the record of the checkpoint before it drops it: one more for each that was {@code resumed}.
     */
    String records(long processed, long resumed, long unsent) {
        double sum = 0;
        Set<String> shards = new TreeSet<>();
        for (Metric metric : list()) {
            if (metric.metricName().equals("RecordsProcessed")) {
                for (Datapoint point : statistics(metric)) {
                    sum += point.sum();
                    check(point.unit() == StandardUnit.COUNT, "another unit", point);
                }
                metric.dimensions().stream().filter(it -> it.name().equals("ShardId")).forEach(it -> shards.add(it.value()));
            }
        }
        check(!shards.isEmpty(), "no shard was counted", shards);
        check(sum <= processed + resumed && sum >= processed - unsent, "other figures of records",
                "%.0f of %d, %d resumed, %d unsent".formatted(sum, processed, resumed, unsent));
        return ("RecordsProcessed adds up to %.0f of %d records in %d shards, %d times resumed; "
                + "the killed worker had not sent at most %d").formatted(sum, processed, shards.size(), resumed, unsent);
    }

    private List<Datapoint> statistics(Metric metric) {
        return cloudWatch.getMetricStatistics(it -> it.namespace(metric.namespace()).metricName(metric.metricName())
                .dimensions(metric.dimensions()).startTime(since.minusSeconds(60)).endTime(Instant.now().plusSeconds(60))
                .period(60).statistics(Statistic.SUM, Statistic.SAMPLE_COUNT)).join().datapoints();
    }
}
