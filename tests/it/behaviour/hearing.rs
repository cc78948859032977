//! What Graph tells of meetings that are booked, and what the operator hears of it.

use graph_emulator::Booking;
use jiff::SignedDuration;
use testbed::error::Error;
use testbed::testbed::Testbed;

use super::scene::{DEADLINE, counter, eventually};

/// Books a meeting, so that Graph tells of it: once created, twice updated.
pub(crate) fn book(bed: &Testbed, address: &str) {
    let start = bed.emulator.now();
    let booking = Booking {
        organizer: "ada@contoso.example".to_owned(),
        subject: "Design review".to_owned(),
        start,
        end: start + SignedDuration::from_hours(1),
    };
    bed.emulator.book(address, &booking).unwrap();
}

/// Listens to what the operator hears of meetings that are booked, to see that nothing is lost.
pub(super) struct Hearing<'a> {
    bed: &'a Testbed,
    accepted_before: f64,
    delivered_before: u64,
    expected: u32,
}

impl<'a> Hearing<'a> {
    pub(super) async fn begin(bed: &'a Testbed) -> Self {
        Self {
            bed,
            accepted_before: notifications(bed, "accepted").await.unwrap(),
            delivered_before: bed.emulator.counts().notifications.delivered,
            expected: 0,
        }
    }

    pub(super) fn book(&mut self, address: &str) {
        book(self.bed, address);
        self.expected += 3;
    }

    /// Waits until all that Graph had to tell was accepted at the first attempt.
    pub(super) async fn lost_nothing(self) {
        let expected = f64::from(self.expected);
        let accepted = async || {
            let accepted = notifications(self.bed, "accepted").await?;
            Ok::<_, Error>(accepted - self.accepted_before)
        };
        let delivered = || {
            let counts = self.bed.emulator.counts().notifications;
            assert_eq!((counts.failed, counts.dropped), (0, 0));
            counts.delivered - self.delivered_before
        };
        let what = "every notification was accepted";
        eventually(self.bed, what, DEADLINE, async || {
            let forged = notifications(self.bed, "forged").await?;
            assert!(forged < 0.1, "{forged} seemed to be forged");
            Ok(accepted().await? > expected - 0.1 && delivered() >= u64::from(self.expected))
        })
        .await;
        let accepted = accepted().await.unwrap();
        assert!((accepted - expected).abs() < 0.1, "{accepted}");
        assert_eq!(delivered(), u64::from(self.expected));
    }
}

/// How many notifications came to this.
pub(super) async fn notifications(bed: &Testbed, result: &str) -> Result<f64, Error> {
    counter(bed, "notifications_total", &[("result", result)]).await
}
