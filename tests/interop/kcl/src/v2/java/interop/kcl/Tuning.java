package interop.kcl;

import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.leases.LeaseManagementConfig;

/** The KCL's own settings that make it quick enough for a test. Everything else is as it defaults. */
final class Tuning {
    /** Every worker of this line takes leases for itself, without a leader. */
    static final boolean HAS_LEADER = false;

    private Tuning() {}

    static CoordinatorConfig of(CoordinatorConfig coordinator) {
        return coordinator.parentShardPollIntervalMillis(1_000);
    }

    static LeaseManagementConfig of(LeaseManagementConfig leases) {
        return leases.failoverTimeMillis(4_000)
                .shardSyncIntervalMillis(5_000)
                .leasesRecoveryAuditorExecutionFrequencyMillis(5_000);
    }
}
