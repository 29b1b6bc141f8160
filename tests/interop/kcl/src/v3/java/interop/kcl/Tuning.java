package interop.kcl;

import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.leases.LeaseManagementConfig;

/** The KCL's own settings that make it quick enough for a test. Everything else is as it defaults. */
final class Tuning {
    /** Leader election, graceful hand-off and the index by owner are of this line. */
    static final boolean HAS_LEADER = true;

    private Tuning() {}

    static CoordinatorConfig of(CoordinatorConfig coordinator) {
        return coordinator.parentShardPollIntervalMillis(1_000);
    }

    static LeaseManagementConfig of(LeaseManagementConfig leases) {
        // All workers share one machine, whose CPU says nothing about any of them; so the leader balances
        // by throughput, as it does on hosts that are not of AWS.
        leases.workerUtilizationAwareAssignmentConfig()
                .disableWorkerMetrics(true)
                .workerMetricsReporterFreqInMillis(2_000)
                .varianceBalancingFrequency(1);
        return leases.failoverTimeMillis(5_000)
                .leaseAssignmentIntervalMillis(2_500L)
                .shardSyncIntervalMillis(5_000)
                .leasesRecoveryAuditorExecutionFrequencyMillis(5_000)
                .dynamoDbLockBasedLeaderLeaseDurationInMillis(9_000)
                .dynamoDbLockBasedLeaderHeartbeatPeriodInMillis(3_000);
    }
}
