//! `--chmod`: octal, or symbolic as `u=rwX,go=rX`.
//!
//! # References
//! BuildKit `convert_copy.go`; POSIX chmod for the symbolic form.

/// A change of permission bits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chmod {
    /// The bits themselves.
    Octal(u32),
    /// Clauses, applied in order.
    Symbolic(Vec<Clause>),
}

/// One clause of the symbolic form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clause {
    /// The bits of the classes that it names. Others alone have no sticky bit to set, as in BSD's chmod.
    who: u32,
    operator: char,
    permissions: Vec<char>,
}

/// Text that is no mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a mode: expected octal digits up to 07777, or a form such as `u=rwX,go=rX`")]
pub struct ModeError {
    /// As given.
    pub text: String,
}

impl Chmod {
    /// Reads either form.
    pub fn parse(text: &str) -> Result<Self, ModeError> {
        let bad = || ModeError { text: text.to_owned() };
        if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) {
            let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777);
            return mode.map(Self::Octal).ok_or_else(bad);
        }
        let clauses: Option<Vec<Vec<Clause>>> = text.split(',').map(clauses).collect();
        clauses.map(|clauses| Self::Symbolic(clauses.concat())).ok_or_else(bad)
    }

    /// The mode that `mode` becomes.
    pub fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        match self {
            Self::Octal(mode) => *mode,
            Self::Symbolic(clauses) => clauses.iter().fold(mode, |mode, clause| clause.apply(mode, is_folder)),
        }
    }
}

impl Clause {
    fn apply(&self, mode: u32, is_folder: bool) -> u32 {
        let mut bits = 0;
        for permission in &self.permissions {
            bits |= match permission {
                'r' => 0o444,
                'w' => 0o222,
                'x' => 0o111,
                'X' if is_folder || mode & 0o111 != 0 => 0o111,
                's' => 0o6000,
                't' => 0o1000,
                'u' => spread(mode >> 6),
                'g' => spread(mode >> 3),
                'o' => spread(mode),
                _ => 0,
            };
        }
        let bits = bits & self.who;
        match self.operator {
            '+' => mode | bits,
            '-' => mode & !bits,
            _ => mode & !self.who | bits,
        }
    }
}

/// One class's rwx for all three.
fn spread(class: u32) -> u32 {
    (class & 7) * 0o111
}

fn clauses(text: &str) -> Option<Vec<Clause>> {
    let operators = ['+', '-', '='];
    let start = text.find(operators)?;
    let mut who = 0;
    for class in text[..start].chars() {
        who |= match class {
            'u' => 0o5700,
            'g' => 0o3070,
            'o' => 0o0007,
            'a' => 0o7777,
            _ => return None,
        };
    }
    let who = if who == 0 { 0o7777 } else { who };
    let mut found: Vec<Clause> = Vec::new();
    for c in text[start..].chars() {
        if operators.contains(&c) {
            found.push(Clause { who, operator: c, permissions: Vec::new() });
        } else if "rwxXstugo".contains(c) {
            found.last_mut()?.permissions.push(c);
        } else {
            return None;
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_change_modes_as_chmod_does() {
        for (text, before, folder, after) in [
            ("0640", 0o777, false, 0o640),
            ("4755", 0o644, false, 0o4755),
            ("u=rwX,go=rX", 0o644, false, 0o644),
            ("u=rwX,go=rX", 0o744, false, 0o755),
            ("u=rwX,go=rX", 0o600, true, 0o755),
            ("a+x", 0o644, false, 0o755),
            ("go-w", 0o666, false, 0o644),
            ("g=u", 0o640, false, 0o660),
            ("+t", 0o755, true, 0o1755),
            ("o+t", 0o755, true, 0o755),
            ("u+s", 0o755, false, 0o4755),
        ] {
            assert_eq!(Chmod::parse(text).map(|c| c.apply(before, folder)), Ok(after), "{text}");
        }
        for bad in ["", "99", "77777", "rwx", "u~w", "z=r", "-1x"] {
            assert!(Chmod::parse(bad).is_err(), "{bad}");
        }
    }
}
