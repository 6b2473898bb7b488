//! Turns a step into its key, and a key into an earlier result or the reason why there is none.
