//! Leases in a table that Java workers share, against the emulator. What a Java worker would do is written
//! to the table by hand; real ones are in `tests/interop` (`mixed2`, `mixed3`).

#![expect(clippy::unwrap_used, reason = "tests")]

mod held;
mod led;
mod strife;
mod support;

use std::time::Duration;

use kcl_lease::JavaSettings;

#[test]
fn the_settings_are_those_of_the_kcl() {
    let settings = JavaSettings::default();
    assert_eq!(settings.failover, Duration::from_secs(10));
    assert_eq!(settings.assign_every(), Duration::from_secs(20));
    assert_eq!(settings.report_interval, Duration::from_secs(30));
    assert_eq!(settings.leader_lease, Duration::from_secs(120));
    assert_eq!(settings.leader_heartbeat, Duration::from_secs(30));
    assert_eq!(settings.handover_max, Duration::from_secs(30));
    assert_eq!(settings.steals_max, 1);
}
