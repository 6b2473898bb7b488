//! The word that somebody who mistyped most likely meant.

/// The option nearest to `given`, if it is near enough to be what was meant. Case does not count.
pub fn nearest<'a>(given: &str, options: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Longer words than any option by more than the distance cannot be near; this also bounds the work.
    let given: Vec<char> = given.chars().take(64).flat_map(char::to_lowercase).collect();
    let allowed = (given.len() / 3).clamp(1, 3);
    let is_near_in_length = |option: &&str| option.chars().count().abs_diff(given.len()) <= allowed;
    let distances = options.into_iter().filter(is_near_in_length).map(|option| (distance(&given, option), option));
    distances.filter(|&(distance, _)| distance <= allowed).min_by_key(|&(distance, _)| distance).map(|(_, o)| o)
}

/// The number of insertions, deletions, replacements and swaps of neighbours between the two.
fn distance(given: &[char], option: &str) -> usize {
    let option: Vec<char> = option.chars().flat_map(char::to_lowercase).collect();
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=option.len()).collect();
    for (i, &g) in given.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, &o) in option.iter().enumerate() {
            let mut best = (last[j] + usize::from(g != o)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && g == option[j - 1] && given[i - 1] == o {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(given.len())
}
