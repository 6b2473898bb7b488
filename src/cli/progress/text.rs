//! Text that cannot hurt a terminal, and its width.

use std::time::Duration;

use unicode_width::UnicodeWidthChar as _;

use super::Colours;

/// Our own words: the first line, with everything that is no plain character shown as an escape.
pub fn escape(text: &str) -> String {
    let mut lines = text.trim().lines();
    let mut escaped = String::with_capacity(text.len());
    for c in lines.next().unwrap_or("").chars() {
        if c == '\t' {
            escaped.push(' ');
        } else if c.is_control() || turns_direction(c) {
            escaped.extend(c.escape_default());
        } else {
            escaped.push(c);
        }
    }
    if lines.any(|line| !line.trim().is_empty()) {
        escaped.push_str(" …");
    }
    escaped
}

/// A line of a step's output: without what moves the cursor, and with its colours only if they are wanted.
pub(super) fn clean(line: &[u8], colours: Colours) -> String {
    let text = String::from_utf8_lossy(line);
    let mut cleaned = String::with_capacity(text.len());
    let mut coloured = false;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => {
                if let Some(colour) = skip_escape(&mut rest)
                    && colours == Colours::Wanted
                {
                    coloured = true;
                    cleaned.push_str(&colour);
                }
            }
            '\u{9b}' => drop(skip_csi(&mut rest)),
            '\t' => cleaned.push_str(&" ".repeat(8 - width(&cleaned) % 8)),
            c if c.is_control() || turns_direction(c) => {}
            c => cleaned.push(c),
        }
    }
    if coloured {
        cleaned.push_str("\u{1b}[0m");
    }
    cleaned
}

/// Skips what follows an ESC; a colour sequence is given back.
fn skip_escape(rest: &mut std::str::Chars<'_>) -> Option<String> {
    match rest.next()? {
        '[' => skip_csi(rest),
        // Strings to the terminal (title, clipboard, …) end with BEL or ESC and a backslash.
        ']' | 'P' | 'X' | '^' | '_' => {
            let mut before = ' ';
            let end = |c: &char| {
                let ends = *c == '\u{7}' || *c == '\u{9c}' || (before == '\u{1b}' && *c == '\\');
                before = *c;
                ends
            };
            let _end = rest.find(end);
            None
        }
        // An intermediate byte has one more after it, as in the choice of a character set.
        ' '..='/' => {
            rest.next();
            None
        }
        _ => None,
    }
}

/// Skips a control sequence; one that sets colours is given back.
fn skip_csi(rest: &mut std::str::Chars<'_>) -> Option<String> {
    let mut parameters = String::new();
    for c in rest.by_ref() {
        match c {
            '\u{40}'..='\u{7e}' => {
                let colour = c == 'm' && parameters.chars().all(|p| p.is_ascii_digit() || matches!(p, ';' | ':'));
                return colour.then(|| format!("\u{1b}[{parameters}m"));
            }
            c if parameters.len() < 64 => parameters.push(c),
            _ => {}
        }
    }
    None
}

/// Characters that change the order in which others are shown, or break lines.
fn turns_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// How many cells a text without escape sequences takes; rather too many than too few.
pub(super) fn width(text: &str) -> usize {
    text.chars().map(cells).sum()
}

fn cells(c: char) -> usize {
    // It makes some terminals show the character before it in two cells.
    if c == '\u{fe0f}' { 1 } else { c.width().unwrap_or(0) }
}

/// How many rows a terminal of so many columns wraps the text to: a wide character is not divided.
pub(super) fn rows(text: &str, columns: usize) -> usize {
    let (mut rows, mut column) = (1, 0);
    for cells in text.chars().map(cells) {
        if column + cells > columns.max(1) && column > 0 {
            (rows, column) = (rows + 1, 0);
        }
        column += cells;
    }
    rows
}

/// The text cut to `cells` cells, with an ellipsis where something is missing.
pub(super) fn fit(text: &str, max: usize) -> String {
    if width(text) <= max {
        return text.to_owned();
    }
    let mut used = 0;
    let mut fitted = String::new();
    for c in text.chars() {
        if used + cells(c) + 1 > max {
            break;
        }
        used += cells(c);
        fitted.push(c);
    }
    if max > 0 {
        fitted.push('…');
    }
    fitted
}

/// `left`, and `right` at the end of a line of `max` cells; `right` alone gives way where there is no room.
pub(super) fn spread(left: &str, right: &str, max: usize) -> String {
    let room = max.saturating_sub(width(right) + 1);
    if room < 12 {
        return fit(left, max);
    }
    let left = fit(left, room);
    let gap = max - width(&left) - width(right);
    format!("{left}{}{right}", " ".repeat(gap))
}

/// Wraps text in a colour, if colours are wanted: the number of a SGR sequence.
pub(super) fn paint(text: &str, code: &str, colours: Colours) -> String {
    match colours {
        Colours::Wanted => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
        Colours::Unwanted => text.to_owned(),
    }
}

/// For example `0.1s`, `2m05s` or `1h02m`.
pub fn show_duration(duration: Duration) -> String {
    let tenths = duration.as_millis() / 100;
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{}.{}s", tenths / 10, tenths % 10),
        60..3600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// For example `12 B`, `3.4 kB` or `56.7 MB`: powers of 1000, as Docker shows sizes.
pub fn show_size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = bytes / 100;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// A bar of `cells` cells.
pub(super) fn bar(done: u64, total: u64, cells: usize) -> String {
    let inner = cells.saturating_sub(2);
    let share = u128::from(done.min(total)) * inner as u128 / u128::from(total.max(1));
    let filled = usize::try_from(share).unwrap_or(inner).min(inner);
    format!("[{}{}]", "=".repeat(filled), " ".repeat(inner - filled))
}
