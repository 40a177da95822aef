//! Median and range of a few rounds. No means: one disturbed round must not move the figure.

/// What the rounds of one row say.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// Half of the rounds gave less, half more.
    pub median: f64,
    /// The smallest.
    pub min: f64,
    /// The largest.
    pub max: f64,
}

impl Summary {
    /// `None` when there is no sample.
    #[must_use]
    pub fn of(samples: &[f64]) -> Option<Self> {
        let mut sorted = samples.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = if sorted.len() % 2 == 1 {
            sorted[middle]
        } else {
            f64::midpoint(sorted[middle - 1], sorted[middle])
        };
        Some(Self { median, min, max })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_ignores_order_and_one_outlier() {
        let summary = Summary::of(&[3.0, 100.0, 1.0, 2.0, 4.0]).unwrap();
        assert_eq!(summary, Summary { median: 3.0, min: 1.0, max: 100.0 });
    }

    #[test]
    fn of_an_even_number_it_is_between_the_middle_two() {
        assert_eq!(Summary::of(&[4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        assert_eq!(Summary::of(&[7.0]).unwrap(), Summary { median: 7.0, min: 7.0, max: 7.0 });
        assert_eq!(Summary::of(&[]), None);
    }
}
