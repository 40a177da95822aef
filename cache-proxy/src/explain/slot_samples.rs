//! Which slots are asked for: every sixteenth request or so leaves its slot and the time here.
//!
//! That tells the present load of any set of slots, without a counter per slot: 65 536 of them per worker, each
//! touched once in a while, would be more memory than the rest of the worker uses. Nothing has to run for it, and
//! what is older than a minute is simply not counted.
//!
//! Each sample is one word, written by one thread and read by any, so there is nothing to lock.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use cluster::{MAX_SLOTS, Slot, SlotCount};
use commands::Command;
use resp::Request;

use crate::dispatch::Dispatcher;
use crate::metrics::count::Count;

/// Samples kept: at a million requests a second the last 65 ms, at a thousand the last minute. A node of fifty has
/// eighty of them, which tell its load to a tenth.
const KEPT: usize = 4_096;

/// One request in so many is sampled, on average.
const ONE_IN: u64 = 16;

/// What is older is no present load.
const WINDOW: Duration = Duration::from_secs(60);

/// A proxy that has just begun has at most this time to tell a rate from: a burst of milliseconds is no rate.
const LEAST_SPAN: Duration = Duration::from_secs(1);

/// A full ring has seen 65 536 requests, which tell a rate also when they came within milliseconds; the times of
/// samples are no finer.
const LEAST_FULL_SPAN: Duration = Duration::from_millis(10);

/// Bits of a sample that are its slot; above them are milliseconds since the start, and the highest bit is set.
const SLOT_BITS: u32 = MAX_SLOTS.trailing_zeros();

const TAKEN: u64 = 1 << 63;

/// The slots of the requests of late.
#[derive(Debug)]
pub(crate) struct SlotSamples {
    started: Instant,
    ring: Box<[AtomicU64]>,
    taken: Count,
}

/// The requests of late as far as they were sampled: each stands for so many a second.
#[derive(Debug, Default)]
pub(crate) struct Load {
    samples: Vec<(Slot, f64)>,
}

impl SlotSamples {
    pub(crate) fn new(started: Instant) -> Self {
        let ring = std::iter::repeat_with(AtomicU64::default).take(KEPT).collect();
        Self { started, ring, taken: Count::default() }
    }

    /// How many requests after the `requests`th the next one is to be sampled. It varies, so that a program that asks
    /// the same in turn is not always met at the same request.
    pub(crate) const fn pause(requests: u64) -> u64 {
        // The golden ratio's bits, as good as a die here.
        1 + (requests.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) % (2 * ONE_IN - 1)
    }

    /// Takes a sample: a request for a key in `slot`. For the worker's thread only.
    pub(crate) fn take(&self, slot: Slot, slots: SlotCount, now: Instant) {
        let millis = now.saturating_duration_since(self.started).as_millis() as u64;
        // In the finest division of the keys, so that it means the same when the number of slots is changed.
        let slot = u64::from(slot.0) * u64::from(MAX_SLOTS / slots.get());
        let place = self.taken.get() as usize % KEPT;
        self.ring[place].store(TAKEN | millis << SLOT_BITS | slot, Ordering::Relaxed);
        self.taken.add(1);
    }

    /// The load of the last minute, or of as much of it as there are samples of.
    pub(crate) fn load(&self, slots: SlotCount, now: Instant) -> Load {
        let since_start = now.saturating_duration_since(self.started);
        let age = |sample: u64| {
            let taken = Duration::from_millis((sample & !TAKEN) >> SLOT_BITS);
            since_start.saturating_sub(taken)
        };
        let samples = self.ring.iter().map(|sample| sample.load(Ordering::Relaxed));
        let fresh: Vec<u64> =
            samples.filter(|sample| sample & TAKEN != 0 && age(*sample) <= WINDOW).collect();
        let oldest = fresh.iter().map(|sample| age(*sample)).max().unwrap_or_default();
        // A ring that has not been filled within the window holds all that there was in it.
        let span = match fresh.len() {
            KEPT => oldest.max(LEAST_FULL_SPAN),
            _ => WINDOW.min(since_start).max(LEAST_SPAN),
        };
        let rate = ONE_IN as f64 / span.as_secs_f64();
        let slot = |sample: u64| {
            let finest = (sample & (u64::from(MAX_SLOTS) - 1)) as u32;
            Slot(finest / (MAX_SLOTS / slots.get()))
        };
        Load { samples: fresh.into_iter().map(|sample| (slot(sample), rate)).collect() }
    }
}

impl Load {
    /// All loads together.
    pub(crate) fn sum(loads: impl Iterator<Item = Self>) -> Self {
        Self { samples: loads.flat_map(|load| load.samples).collect() }
    }

    /// How many samples it is told from.
    pub(crate) fn samples(&self) -> usize {
        self.samples.len()
    }

    /// Each sampled request's slot, and how many requests a second it stands for.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Slot, f64)> {
        self.samples.iter().copied()
    }

    /// Requests a second, over all slots.
    pub(crate) fn total(&self) -> f64 {
        self.samples.iter().map(|(_, rate)| rate).sum()
    }
}

impl Dispatcher {
    /// Notes which slot is asked for.
    #[cold]
    pub(crate) fn sample(&mut self, command: &Command, request: &Request<'_>) {
        let keys = command.keys(request.len(), |index| request.arg(index));
        let first = keys.ok().and_then(|mut keys| keys.next());
        self.sample_key(first.map(|first| request.arg(first)));
    }

    /// Notes the slot of a request's first key, if it has one.
    pub(crate) fn sample_key(&mut self, key: Option<&[u8]>) {
        self.sample_at = self.stats.requests + SlotSamples::pause(self.stats.requests);
        if let (Some(routing), Some(key)) = (&self.routing, key) {
            let slots = routing.ring().slots();
            self.published.samples.take(slots.slot(key), slots, self.now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(count: u32) -> SlotCount {
        SlotCount::new(count).unwrap()
    }

    #[test]
    fn one_request_in_sixteen_is_sampled_and_not_in_step() {
        let (mut requests, mut pauses) = (0, Vec::new());
        while requests < 1_000_000 {
            let pause = SlotSamples::pause(requests);
            pauses.push(pause);
            requests += pause;
        }
        let mean = requests as f64 / pauses.len() as f64;
        assert!((mean - ONE_IN as f64).abs() < 0.2, "{mean}");
        assert!((1..2 * ONE_IN).all(|pause| pauses.contains(&pause)));
    }

    #[test]
    fn the_load_is_that_of_the_last_minute() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let samples = SlotSamples::new(start);
        assert_eq!(samples.load(slots(1024), start).total(), 0.0);
        for second in 0..200 {
            samples.take(Slot(5), slots(1024), after(second));
        }
        let load = samples.load(slots(1024), after(200));
        assert_eq!(load.samples(), 60);
        assert!((load.total() - 16.0).abs() < 1e-9, "{}", load.total());
        assert_eq!(samples.load(slots(1024), after(500)).samples(), 0);
    }

    #[test]
    fn a_full_ring_tells_the_rate_of_the_time_it_holds() {
        let start = Instant::now();
        let samples = SlotSamples::new(start);
        let at = |number: u32| start + Duration::from_millis(1) * number;
        (0..20_000).for_each(|number| samples.take(Slot(number % 1024), slots(1024), at(number)));
        let load = samples.load(slots(1024), at(20_000));
        assert_eq!(load.samples(), KEPT);
        // A sample each millisecond.
        assert!((load.total() / 16_000.0 - 1.0).abs() < 0.01, "{}", load.total());
    }

    #[test]
    fn a_busy_worker_is_told_from_one_that_is_not() {
        let start = Instant::now();
        let load = |per_milli: u32| {
            let samples = SlotSamples::new(start);
            let at = |number: u32| start + Duration::from_micros(1_000) * (number / per_milli);
            (0..20_000).for_each(|number| samples.take(Slot(1), slots(1024), at(number)));
            samples.load(slots(1024), at(20_000))
        };
        let (busy, quiet) = (load(50), load(5));
        // Fifty samples each millisecond.
        assert!((busy.total() / 800_000.0 - 1.0).abs() < 0.02, "{}", busy.total());
        let sum = Load::sum([busy, quiet].into_iter());
        assert!((sum.total() / 880_000.0 - 1.0).abs() < 0.02, "{}", sum.total());
    }

    #[test]
    fn a_sample_means_the_same_keys_whatever_the_number_of_slots() {
        let now = Instant::now();
        let samples = SlotSamples::new(now);
        samples.take(Slot(3), slots(1024), now);
        let slot_of = |count| samples.load(slots(count), now).iter().next().unwrap().0;
        assert_eq!([1 << 10, 1 << 11, 1 << 20].map(slot_of), [Slot(3), Slot(6), Slot(3 << 10)]);
    }
}
