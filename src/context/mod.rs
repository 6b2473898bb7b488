//! Turns a directory and its ignore rules into the files that a COPY selects.
