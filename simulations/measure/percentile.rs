//! Order statistics of what was observed.

/// The smallest of `values` that at least `thousandths` of them do not exceed; `None` of nothing.
pub fn percentile<T: Ord + Copy>(values: &[T], thousandths: usize) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * thousandths).div_ceil(1_000).max(1);
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_one_of_the_values() {
        let values: Vec<u32> = (1..=200).rev().collect();
        for (thousandths, expected) in [(0, 1), (500, 100), (990, 198), (1_000, 200)] {
            assert_eq!(percentile(&values, thousandths), Some(expected));
        }
        assert_eq!(percentile(&[7], 500), Some(7));
        assert_eq!(percentile::<u32>(&[], 500), None);
    }
}
