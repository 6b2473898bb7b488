//! Tests of the language: whole files, words, and what hostile input must not do.

mod cases;
mod hostile;
mod language;
mod words;
