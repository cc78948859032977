//! Makes a failing input smaller: parts are left out as long as it still fails.

/// The smallest input that is found in so many attempts.
pub(crate) fn smallest(
    mut input: Vec<u8>,
    attempts: u32,
    fails: impl Fn(&[u8]) -> bool,
) -> Vec<u8> {
    let mut left = attempts;
    let mut part = input.len().div_ceil(2);
    while part > 0 {
        let mut at = 0;
        let before = input.len();
        while at < input.len() {
            if left == 0 {
                return input;
            }
            left -= 1;
            let end = (at + part).min(input.len());
            let without = [&input[..at], &input[end..]].concat();
            if fails(&without) {
                input = without;
            } else {
                at = end;
            }
        }
        if input.len() == before || part > input.len() {
            part /= 2;
        }
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_needed_for_the_failure_is_left_out() {
        let input = b"much text, a needle, and more of it, and a thread".to_vec();
        let has = |input: &[u8], what: &[u8]| input.windows(what.len()).any(|one| one == what);
        let found = smallest(input, 1_000, |input| {
            has(input, b"needle") && has(input, b"thread")
        });
        assert_eq!(found, b"needlethread");
    }
}
