//! What a user is told: the whole of standard error, and the exit status, for each mistake.

mod advice;
mod check;
mod command_line;
mod dockerfile;
mod machine;
mod outputs;
mod planned;
