//! Which key is asked for next: streams of key numbers like those a cache sees.
//!
//! The one idea: a stream follows from its workload, its number of keys and its seed alone, so every subject
//! is asked for the same keys in the same order, today and in a year (the generator is named, not "the
//! standard one"). This file does no IO and knows no subject.
//!
//! | workload | what it is like |
//! |---|---|
//! | zipf 0.8, 1.0, 1.2 | a few keys are asked for most: flat, usual, steep |
//! | shifting hot set | what is popular changes: today's articles, not yesterday's |
//! | scan-polluted | a job reads a quarter as many other keys, one after the other, again and again |
//! | one-hit wonders | three requests in ten are for a key that nobody asks for again |

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use rand_distr::{Distribution, Zipf};

/// A kind of stream.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Workload {
    /// The key of rank r is asked for in proportion to r to the power of minus this exponent.
    Zipf(f64),
    /// Zipf 1.0, whose ranks move on by a tenth of the keys whenever half as many requests as keys have
    /// passed.
    ShiftingHotSet,
    /// Zipf 1.0, and whenever half as many requests as keys have passed, a walk over keys outside of it.
    ScanPolluted,
    /// Zipf 0.9, and among it keys that never come again.
    OneHitWonders,
}

/// Of the requests of [`Workload::OneHitWonders`], those for a key that never comes again. CDNs and key-value
/// caches see shares from a tenth to three quarters.
const WONDERS: f64 = 0.3;

/// The shifting hot set moves on by this part of the keys.
const SHIFT: u64 = 10;

/// A scan walks over as many keys as this part of the others: more than fit into a cache of a fifth of them.
const SCAN: u64 = 4;

/// Shifts and scans happen whenever this part of the number of keys has been asked for.
const PERIOD: u64 = 2;

/// An endless stream of key numbers.
pub type Keys = Box<dyn Iterator<Item = u64> + Send>;

impl Workload {
    /// All of them, in the order of the report.
    pub const ALL: [Self; 6] = [
        Self::Zipf(0.8),
        Self::Zipf(1.0),
        Self::Zipf(1.2),
        Self::ShiftingHotSet,
        Self::ScanPolluted,
        Self::OneHitWonders,
    ];

    /// As the report names it.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Zipf(exponent) => format!("zipf {exponent:.1}"),
            Self::ShiftingHotSet => "shifting hot set".to_owned(),
            Self::ScanPolluted => "scan-polluted".to_owned(),
            Self::OneHitWonders => "one-hit wonders".to_owned(),
        }
    }

    /// The stream over `keys` keys (and those that scans, shifts and wonders add) from `seed`.
    ///
    /// # Panics
    /// When `keys` is too small to be divided: below 10.
    #[must_use]
    pub fn keys(self, keys: u64, seed: u64) -> Keys {
        assert!(keys >= SHIFT, "{keys} keys are no workload");
        let random = Xoshiro256PlusPlus::seed_from_u64(seed);
        match self {
            Self::Zipf(exponent) => Box::new(zipf(keys, exponent, random)),
            Self::ShiftingHotSet => {
                let moved = move |(number, rank)| rank + (number / (keys / PERIOD)) * (keys / SHIFT);
                Box::new((0..).zip(zipf(keys, 1.0, random)).map(moved))
            }
            Self::ScanPolluted => Box::new(scanned(keys, random)),
            Self::OneHitWonders => Box::new(wonders(keys, random)),
        }
    }
}

/// Numbers from 0, the most popular, to `keys - 1`.
fn zipf(keys: u64, exponent: f64, mut random: Xoshiro256PlusPlus) -> impl Iterator<Item = u64> + Send {
    // Fails for a negative or undefined exponent only, and those in use are constants.
    let distribution =
        Zipf::new(keys as f64, exponent).unwrap_or_else(|error| panic!("zipf {exponent}: {error}"));
    // The distribution begins at 1; rounding could lift its last value over the end.
    std::iter::repeat_with(move || (distribution.sample(&mut random) as u64).clamp(1, keys) - 1)
}

fn scanned(keys: u64, random: Xoshiro256PlusPlus) -> impl Iterator<Item = u64> + Send {
    let (between, scan) = (keys / PERIOD, keys / SCAN);
    let mut popular = zipf(keys, 1.0, random);
    (0..).map_while(move |number: u64| {
        let place = number % (between + scan);
        // What a scan reads is the same every time, and nobody else asks for it.
        if place < between { popular.next() } else { Some(keys + place - between) }
    })
}

fn wonders(keys: u64, mut random: Xoshiro256PlusPlus) -> impl Iterator<Item = u64> + Send {
    let mut popular = zipf(keys, 0.9, Xoshiro256PlusPlus::seed_from_u64(random.random()));
    let mut fresh = keys..;
    std::iter::from_fn(move || if random.random_bool(WONDERS) { fresh.next() } else { popular.next() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const KEYS: u64 = 1_000;

    fn counts(workload: Workload, requests: usize) -> BTreeMap<u64, u64> {
        let mut counts = BTreeMap::new();
        for key in workload.keys(KEYS, 7).take(requests) {
            *counts.entry(key).or_default() += 1;
        }
        counts
    }

    #[test]
    fn zipf_follows_its_law() {
        let requests = 1_000_000;
        for exponent in [0.8, 1.0, 1.2] {
            let counts = counts(Workload::Zipf(exponent), requests);
            let weight = |rank: u64| (rank as f64).powf(-exponent);
            let all: f64 = (1..=KEYS).map(weight).sum();
            // Pearson's statistic over all ranks: its mean is the degrees of freedom, its deviation the root
            // of twice that; five deviations are one false alarm in millions, and the seed is fixed.
            let statistic: f64 = (1..=KEYS)
                .map(|rank| {
                    let expected = requests as f64 * weight(rank) / all;
                    let seen = counts.get(&(rank - 1)).copied().unwrap_or(0) as f64;
                    (seen - expected).powi(2) / expected
                })
                .sum();
            let freedom = (KEYS - 1) as f64;
            assert!((statistic - freedom).abs() < 5.0 * (2.0 * freedom).sqrt(), "{exponent}: {statistic}");
        }
    }

    #[test]
    fn a_stream_follows_from_its_seed() {
        for workload in Workload::ALL {
            let take = |seed| workload.keys(KEYS, seed).take(5_000).collect::<Vec<_>>();
            assert_eq!(take(1), take(1), "{}", workload.name());
            assert_ne!(take(1), take(2), "{}", workload.name());
        }
    }

    /// A new version of the generator's crate must not change the streams unnoticed: results would no longer
    /// compare.
    #[test]
    fn streams_stay_what_they_were() {
        let first: Vec<u64> = Workload::Zipf(1.0).keys(1_000_000, 42).take(6).collect();
        assert_eq!(first, [63_853, 787_717, 46_918, 2, 7, 1_465]);
    }

    #[test]
    fn the_hot_set_moves_on() {
        let hottest = |skip: usize| {
            let mut counts = BTreeMap::new();
            for key in Workload::ShiftingHotSet.keys(KEYS, 7).skip(skip).take(500) {
                *counts.entry(key).or_insert(0) += 1;
            }
            counts.into_iter().max_by_key(|(_, count)| *count).map(|(key, _)| key)
        };
        assert_eq!([hottest(0), hottest(500), hottest(5_000)], [Some(0), Some(100), Some(1_000)]);
    }

    #[test]
    fn a_scan_walks_over_keys_of_its_own_every_time() {
        let keys: Vec<u64> = Workload::ScanPolluted.keys(KEYS, 7).take(1_500).collect();
        let scan: Vec<u64> = (KEYS..KEYS + 250).collect();
        assert_eq!((&keys[500..750], &keys[1_250..1_500]), (&scan[..], &scan[..]));
        assert!(keys[..500].iter().chain(&keys[750..1_250]).all(|key| *key < KEYS));
    }

    #[test]
    fn wonders_come_once_and_are_three_in_ten() {
        let counts = counts(Workload::OneHitWonders, 100_000);
        let wonders: Vec<u64> = counts.range(KEYS..).map(|(_, count)| *count).collect();
        assert!(wonders.iter().all(|count| *count == 1));
        assert!((29_000..31_000).contains(&wonders.len()), "{}", wonders.len());
    }
}
