package interop.kcl;

import software.amazon.kinesis.coordinator.CoordinatorConfig;
import software.amazon.kinesis.leases.LeaseManagementConfig;

/** The KCL's own settings that make it quick enough for a test. Everything else is as it defaults. */
final class Tuning {
    /** Every worker of this line takes leases for itself, without a leader. */
    static final boolean HAS_LEADER = false;

    /**
     * A graceful stop waits for the processors of finished shards too, which are gone, for as long as the
     * worker holds their leases; so a program has to end the wait itself.
     */
    static final boolean STOPS_WITH_FINISHED_LEASES = false;

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
