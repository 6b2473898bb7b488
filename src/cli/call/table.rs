//! Columns of text.

use unicode_width::UnicodeWidthStr as _;

use crate::cli::progress::escape;

/// Rows whose cells stand below each other, with `gap` spaces between the columns. Nothing stands behind the last cell.
pub(super) fn table(rows: &[Vec<String>], gap: usize) -> String {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| escape(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns)
        .map(|column| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0))
        .collect();
    let mut text = String::new();
    for row in &rows {
        let mut line = String::new();
        for (cell, width) in row.iter().zip(&widths) {
            line.push_str(cell);
            line.push_str(&" ".repeat(width - cell.width() + gap));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_of_a_column_begin_at_one_place() {
        let rows = [["a", "b", "c"], ["long", "é", ""]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows, 2), "a     b  c\nlong  é\n");
        assert_eq!(table(&[], 2), "");
    }
}
