//! A terminal: the part of one that the views use, and nothing else is accepted.

use unicode_width::UnicodeWidthChar as _;

use crate::cli::progress::Size;

#[derive(Clone)]
pub(super) struct Screen {
    size: Size,
    lines: Vec<Vec<char>>,
    /// The first visible line.
    top: usize,
    row: usize,
    column: usize,
}

impl Screen {
    pub fn new(columns: usize, rows: usize) -> Self {
        Self { size: Size { columns, rows }, lines: vec![Vec::new()], top: 0, row: 0, column: 0 }
    }

    pub fn size(&self) -> Size {
        self.size
    }

    /// Another size, with long lines wrapped again as most terminals do.
    pub fn resize(&mut self, columns: usize, rows: usize) {
        let mut lines: Vec<Vec<char>> = Vec::new();
        let mut row = 0;
        for (index, line) in self.lines.iter().enumerate() {
            if index == self.row {
                row = lines.len();
            }
            lines.extend(wrap(line, columns));
        }
        self.size = Size { columns, rows };
        (self.lines, self.row) = (lines, row);
        self.top = self.row.saturating_sub(rows - 1);
    }

    #[track_caller]
    pub fn write(&mut self, text: &str) {
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            match c {
                '\n' => {
                    self.column = 0;
                    self.down();
                }
                '\r' => self.column = 0,
                '\u{1b}' => {
                    assert_eq!(chars.next(), Some('['), "only control sequences");
                    let mut parameters = String::new();
                    let end = loop {
                        match chars.next().expect("a whole sequence") {
                            p if p.is_ascii_digit() || p == ';' => parameters.push(p),
                            end => break end,
                        }
                    };
                    self.control(end, &parameters);
                }
                c => {
                    assert!(!c.is_control(), "{c:?}");
                    self.print(c);
                }
            }
        }
    }

    #[track_caller]
    fn control(&mut self, end: char, parameters: &str) {
        match end {
            'A' => {
                let up: usize = parameters.parse().expect("a number");
                assert!(self.row >= self.top + up, "the cursor stops at the top of the screen");
                self.row -= up;
            }
            'J' => {
                assert_eq!((parameters, self.column), ("", 0));
                self.lines.truncate(self.row);
                self.lines.push(Vec::new());
            }
            'K' => self.lines[self.row].truncate(self.column),
            'm' => {}
            other => panic!("the sequence {parameters}{other}"),
        }
    }

    fn print(&mut self, c: char) {
        let cells = c.width().unwrap_or(0);
        if self.column + cells > self.size.columns {
            self.column = 0;
            self.down();
        }
        let line = &mut self.lines[self.row];
        line.resize(line.len().max(self.column + cells), ' ');
        if cells > 0 {
            line[self.column] = c;
        }
        self.column += cells;
    }

    fn down(&mut self) {
        self.row += 1;
        if self.row == self.lines.len() {
            self.lines.push(Vec::new());
        }
        self.top = self.top.max((self.row + 1).saturating_sub(self.size.rows));
    }

    /// Everything, with what has scrolled away.
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| line.iter().collect::<String>().trim_end().to_owned());
        lines.collect::<Vec<_>>().join("\n")
    }
}

/// The rows that a terminal makes of a line: a wide character, which is followed by a blank cell, is not divided.
fn wrap(line: &[char], columns: usize) -> Vec<Vec<char>> {
    let mut rows = vec![Vec::new()];
    let mut cells = line.iter();
    while let Some(c) = cells.next() {
        let wide = c.width() == Some(2);
        let row = rows.last_mut().expect("there is always one");
        if row.len() + usize::from(wide) + 1 > columns && !row.is_empty() {
            rows.push(Vec::new());
        }
        let row = rows.last_mut().expect("there is always one");
        row.push(*c);
        if wide {
            row.extend(cells.next());
        }
    }
    rows
}
